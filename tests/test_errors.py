import ast
import pickle
import re
from pathlib import Path

import pytest

import reidgen
from reidgen.cli import main
from reidgen.config import FilterConfig
from reidgen.errors import ConfigError, DataError, again, front_end, on_command_line, option, say

PROGRAMS = re.compile(r"\b(reidgen|pip|torchrun|ray|python)\b")


def test_what_a_file_says_does_not_steer_the_terminal():
    error = DataError("It is.", got="\x1b[31mred\r\nand \x9b0m", allowed="ü\ttab")
    assert str(error) == "It is.\n  got: \\x1b[31mred\\r\nand \\x9b0m\n  allowed: ü\ttab"
    assert error.got == "\x1b[31mred\r\nand \x9b0m"


def test_each_front_end_spells_an_option_in_its_own_words():
    what = f"{option('detector_threshold')} is a probability."
    fix = f"{option(size=(128, 64))}, {option(train_all=True)}, {option(data='my crops')} or {option(lr=1e-4)}"
    error = ConfigError(what, got=2.0, allowed="0 to 1", fix=fix)
    python = "detector_threshold is a probability.\n  got: 2.0\n  allowed: 0 to 1\n"
    assert str(error) == f"{python}  try: size=(128, 64), train_all=True, data='my crops' or lr=0.0001"
    typed = error.told(on_command_line).splitlines()
    assert typed[0] == "--detector-threshold is a probability."
    assert typed[3] == "  try: --size 128 64, --train-all, --data 'my crops' or --lr 0.0001"
    assert (error.what, error.got) == ("detector_threshold is a probability.", 2.0)


def test_an_error_keeps_its_options_from_one_process_to_another_and_in_another_error():
    error = ConfigError(f"{option('psi')} is odd.", fix=option(psi=0.5))
    for copy in (pickle.loads(pickle.dumps(error)), again(DataError, error.parts)):
        assert copy.told(on_command_line) == "--psi is odd.\n  try: --psi 0.5"
        assert str(copy) == "psi is odd.\n  try: psi=0.5"


def test_what_a_file_says_is_never_taken_for_an_option_that_fails():
    assert str(DataError("It is.", got="\x02a={\x03")) == "It is.\n  got: \\x02a={\\x03"


@pytest.mark.parametrize("field", ["detector_threshold", "identity_threshold"])
def test_a_config_names_its_field_in_python_and_its_option_on_the_command_line(field, capsys):
    with pytest.raises(ConfigError) as caught:
        FilterConfig(**{field: 9.0})
    assert field in str(caught.value) and "--" not in str(caught.value)
    with pytest.raises(SystemExit):
        main(["filter", "--data", "x", "--out", "y", f"--{field.replace('_', '-')}", "9"])
    assert f"error: --{field.replace('_', '-')} " in capsys.readouterr().err


def test_nothing_is_a_value_too():
    error = ConfigError("No.", got=f"{option(source=None)} {option('target')}")
    assert error.got == "source=None target"
    assert error.told(on_command_line).splitlines()[1] == "  got: --source None --target"


def test_a_note_is_in_the_words_of_the_front_end(capsys):
    text = f"{option(psi=0.5)} of \x1b"
    say(text)
    with front_end(on_command_line):
        say(text)
    assert capsys.readouterr().err == "psi=0.5 of \\x1b\n--psi 0.5 of \\x1b\n"


def test_an_error_in_a_part_of_a_config_names_the_option_as_it_is_typed(capsys, tmp_path):
    options = ["--real", "r", "--generated", "g", "--preset", "people", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        main(["sweep", *options, "--extend.people", "-1"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: --extend.people must not be negative.\n  got: -1\n  allowed: >= 0\n  try: --extend.people 0\n"
    )


def texts(node):
    """Line and text of each string in a syntax tree, fields of a formatted one as they are written."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node.lineno, ast.unparse(node)
    elif not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "command"):
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def test_options_are_spelled_by_the_front_end_alone():
    """Outside the command line's own room, text has `--option` only after the name of a program."""
    room = Path(reidgen.__file__).parent
    found = [
        f"{file.relative_to(room)}:{line}: {text}"
        for file in sorted(room.rglob("*.py"))
        if file.parent.name != "cli" and file.name != "errors.py"
        for line, text in texts(ast.parse(file.read_text(encoding="utf-8")))
        if re.search(r"(?<![\w(])--[a-z]", PROGRAMS.split(text)[0])
    ]
    assert not found
