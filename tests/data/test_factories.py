from PIL import Image

from tests.factories import make_table, write_crop


def test_a_made_table_has_the_rows_and_files_that_were_asked_for(tmp_path):
    table = make_table([1, 1, 0, -1], splits=["query", "gallery", "gallery", "gallery"], root=tmp_path, size=(24, 12))
    assert table.pids.tolist() == [1, 1, 0, -1]
    assert table.camids.tolist() == [1, 2, 1, 2]
    assert len({path.read_bytes() for path in table.paths}) == 4
    with Image.open(table.paths[3]) as image:
        assert (image.size, image.mode, table.paths[3].name) == ((12, 24), "RGB", "-1_c2s1_000003_00.jpg")


def test_the_mode_and_format_of_a_crop_can_be_chosen(tmp_path):
    with Image.open(write_crop(tmp_path / "a.png", mode="RGBA")) as image:
        assert (image.format, image.mode) == ("PNG", "RGBA")
