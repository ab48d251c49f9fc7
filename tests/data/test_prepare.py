import json
import os
import subprocess
import sys

import polars as pl
import pytest
from PIL import Image

from reidgen.cli import VERBS
from reidgen.config import PrepareConfig
from reidgen.data.audit.findings import Audit
from reidgen.data.pixels.images import ORIENTATION, read_rgb
from reidgen.data.prepare import prepare
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, RunError
from reidgen.extend import extend
from tests.factories import crop_pixels, make_table, write_crop

SPLITS = ["train"] * 4 + ["query"] * 2 + ["gallery"] * 2
ANY = PrepareConfig(expect_counts="any")


@pytest.fixture
def source(tmp_path):
    return make_table([1, 1, 2, 2, 3, 4, 3, 4], [1, 2, 1, 2, 1, 1, 2, 2], splits=SPLITS, root=tmp_path / "market")


def test_a_dataset_becomes_an_audited_table(tmp_path, source):
    table = prepare(ANY, root=tmp_path / "market", out=tmp_path / "out")
    assert table.hash() == source.hash() == ReidTable.read(tmp_path / "out").hash()
    assert Audit.read(tmp_path / "out").findings == ()
    known = (tmp_path / "out" / "audit.json").read_text()
    (tmp_path / "out" / "audit.json").write_text(known.replace('"crops": 4', '"crops": 5'))
    with pytest.raises(RunError, match="other values than were written"):
        Audit.read(tmp_path / "out")
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (run["stage"], run["status"], run["summary"]) == (
        "prepare",
        "done",
        {"crops": 8, "findings": 0, "bad_files": 0},
    )


def test_the_same_call_again_returns_the_table_and_another_one_is_refused(tmp_path, source):
    first = prepare(ANY, root=tmp_path / "market", out=tmp_path / "out")
    before = (tmp_path / "out" / "audit.json").stat().st_mtime_ns
    assert prepare(ANY, root=tmp_path / "market", out=tmp_path / "out").rows.equals(first.rows)
    assert (tmp_path / "out" / "audit.json").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="holds another run"):
        prepare(PrepareConfig(expect_counts="any", size=(16, 8)), root=tmp_path / "market", out=tmp_path / "out")
    write_crop(source.paths[0], size=(64, 32), seed=77)
    with pytest.raises(RunError, match="holds another run"):
        prepare(ANY, root=tmp_path / "market", out=tmp_path / "out")


def test_from_another_working_folder_it_is_the_same_run_and_other_bytes_of_equal_size_are_another(
    tmp_path, source, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    prepare(ANY, root="market", out="out")
    monkeypatch.chdir(tmp_path / "market")
    assert len(prepare(ANY, root=tmp_path / "market", out=tmp_path / "out")) == 8
    path, data = source.paths[0], source.paths[0].read_bytes()
    path.unlink()
    path.write_bytes(data[::-1])
    with pytest.raises(RunError, match=r"inputs\.files"):
        prepare(ANY, root=tmp_path / "market", out=tmp_path / "out")


@pytest.mark.parametrize("out", ["market", "market/query/table"])
def test_nothing_is_written_into_the_dataset(tmp_path, source, out):
    (tmp_path / "market" / "README.md").write_text("licence of the dataset")
    before = contents(tmp_path / "market")
    with pytest.raises(ConfigError, match="lies in one"):
        prepare(ANY, root=tmp_path / "market", out=tmp_path / out)
    assert contents(tmp_path / "market") == before


def test_nothing_is_written_beside_a_dataset_in_an_inner_folder_and_a_dry_run_tells_it(tmp_path):
    root = tmp_path / "download"
    make_table([1, 1, 2, 2, 3, 4, 3, 4], [1, 2, 1, 2, 1, 1, 2, 2], splits=SPLITS, root=root / "Market-1501-v15.09.15")
    (root / "README.md").write_text("licence of the dataset")
    before = contents(root)
    with pytest.raises(ConfigError, match="is a folder that is read"):
        prepare(ANY, root=root, out=root)
    with pytest.raises(ConfigError, match="is a folder that is read"):
        VERBS["prepare"].command()(root=root, out=root, config=ANY, dry_run=True)()
    assert contents(root) == before


def test_the_card_tells_of_hard_links_and_copies_are_on_offer(tmp_path, source):
    linked = prepare(ANY, root=tmp_path / "market", out=tmp_path / "linked")
    copied = prepare(ANY, root=tmp_path / "market", out=tmp_path / "copied", crops="copy")
    cards = [" ".join((tmp_path / name / "README.md").read_text().split()) for name in ("linked", "copied")]
    assert ["hard links" in card for card in cards] == [True, False]
    assert "set to copy, writes copies" in cards[0]
    assert linked.paths[0].samefile(source.paths[0])
    assert not copied.paths[0].samefile(source.paths[0])
    assert linked.hash() == copied.hash()
    with pytest.raises(RunError, match=r"inputs\.crops: copy -> not set"):
        prepare(ANY, root=tmp_path / "market", out=tmp_path / "copied")


def test_crops_of_another_generator_have_an_origin_and_nobody_knows_what_made_them(tmp_path, source):
    made = prepare(
        PrepareConfig(expect_counts="any", origin="generated"), root=tmp_path / "market", out=tmp_path / "made"
    )
    assert made.rows.select("origin", "generator", "operation").unique().rows() == [("generated", "unknown", None)]
    assert ReidTable.read(tmp_path / "made").rows.equals(made.rows)
    extended = extend(prepare(ANY, root=tmp_path / "market", out=tmp_path / "real"), made)
    assert (len(extended), extended.train.rows["origin"].to_list()) == (12, ["real"] * 4 + ["generated"] * 4)
    with pytest.raises(DataError, match="say themselves what they are"):  # a folder of reidgen, by another reader
        prepare(PrepareConfig(origin="rendered"), root=tmp_path / "made", out=tmp_path / "again")
    with pytest.raises(ConfigError, match="does not go with dataset='reidgen'"):
        PrepareConfig(dataset="reidgen", origin="generated")


def test_bad_files_stay_unless_told_otherwise(tmp_path, source):
    source.paths[1].write_bytes(b"broken")
    write_crop(source.paths[2], mode="L")
    kept = prepare(ANY, root=tmp_path / "market", out=tmp_path / "kept")
    assert len(kept) == 8
    dropped = prepare(
        PrepareConfig(expect_counts="any", bad_files="drop"), root=tmp_path / "market", out=tmp_path / "dropped"
    )
    assert [path.name for path in dropped.paths] == [
        path.name for i, path in enumerate(source.paths) if i not in (1, 2)
    ]
    assert len(Audit.read(tmp_path / "kept").bad_files) == len(Audit.read(tmp_path / "dropped").bad_files) == 2


def test_when_no_crop_is_good_it_says_so_and_the_folder_is_free_again(tmp_path, source):
    for path in source.paths:
        path.write_bytes(b"")
    config = PrepareConfig(expect_counts="any", bad_files="drop")
    for _ in range(2):
        with pytest.raises(DataError, match="8 bad files"):
            prepare(config, root=tmp_path / "market", out=tmp_path / "out")
        assert len(Audit.read(tmp_path / "out").bad_files) == 8  # the error says to look there
    source.paths[0].write_bytes(write_crop(tmp_path / "good.jpg").read_bytes())
    kept = prepare(PrepareConfig(expect_counts="any", bad_files="keep"), root=tmp_path / "market", out=tmp_path / "out")
    assert len(kept) == 8


def test_a_size_is_written_and_a_folder_of_reidgen_can_be_prepared_again(tmp_path, source):
    small = prepare(PrepareConfig(expect_counts="any", size=(16, 8)), root=tmp_path / "market", out=tmp_path / "small")
    assert Audit.read(tmp_path / "small").sizes == {"32x16": 8}
    again = prepare(PrepareConfig(dataset="reidgen"), root=tmp_path / "small", out=tmp_path / "again")
    assert Audit.read(tmp_path / "again").sizes == {"16x8": 8}
    assert again.hash() == small.hash()


def test_pictures_are_written_as_a_viewer_shows_them_on_wish(tmp_path, source):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(crop_pixels((16, 32))).save(source.paths[1], exif=exif)
    image = Image.new("RGBA", (16, 32), (10, 20, 30, 0))
    image.save(tmp_path / "market" / "query" / "0003_c3s1_000009_00.png")
    config = PrepareConfig(expect_counts="any", bad_files="drop", pictures="as-shown")
    shown = prepare(config, root=tmp_path / "market", out=tmp_path / "shown")
    assert len(shown) == 9  # none of them is bad any more
    turned, cut = (shown.where(pl.col("file_name").str.contains(name)) for name in ("_000001_", "_000009_"))
    assert turned.rows["operation"][0] == cut.rows["operation"][0] == "as shown"
    assert shown.rows["operation"].null_count() == 7
    assert read_rgb(turned.paths[0]).size == (16, 32)
    assert cut.paths[0].suffix == ".jpg" and read_rgb(cut.paths[0]).getpixel((3, 3)) == (255, 255, 255)
    assert "as_shown" not in ReidTable.read(tmp_path / "shown").rows.columns
    plain = prepare(ANY, root=tmp_path / "market", out=tmp_path / "plain")
    assert len(plain) == 9 and plain.rows["operation"].null_count() == 9
    assert (
        plain.where(pl.col("file_name").str.contains("_000001_")).paths[0].read_bytes() == source.paths[1].read_bytes()
    )


def contents(root):
    files = [path for path in root.rglob("*") if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


KILL = """
import os, signal, sys
from reidgen.config import PrepareConfig
from reidgen.data import prepare, tree
real, left = tree._write_crop, [5]
def write(*args, **named):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args, **named)
if sys.argv[1] == "kill":
    tree._write_crop = write
prepare.prepare(PrepareConfig(expect_counts="any", size=(16, 8)), root=sys.argv[2], out=sys.argv[3])
"""


@pytest.mark.slow
def test_killed_and_started_again_it_ends_with_the_same_bytes(tmp_path, source):
    def run(mode, out):
        command = [sys.executable, "-c", KILL, mode, tmp_path / "market", out]
        return subprocess.run(command, env=os.environ, check=False, capture_output=True).returncode

    assert run("whole", tmp_path / "a") == 0
    assert run("kill", tmp_path / "b") == -9
    assert run("whole", tmp_path / "b") == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
