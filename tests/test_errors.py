from reidgen.errors import DataError


def test_what_a_file_says_does_not_steer_the_terminal():
    error = DataError("It is.", got="\x1b[31mred\r\nand \x9b0m", allowed="ü\ttab")
    assert str(error) == "It is.\n  got: \\x1b[31mred\\r\nand \\x9b0m\n  allowed: ü\ttab"
    assert error.got == "\x1b[31mred\r\nand \x9b0m"
