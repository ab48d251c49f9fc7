"""The likeliest messages, word by word: what is wrong, what was found, what is allowed, what to type."""

import re
import shlex

import pytest
from PIL import Image

from reidgen.config import PrepareConfig
from reidgen.data.audit.audit import audit
from reidgen.data.pixels.store import CropStore
from reidgen.data.prepare import prepare
from reidgen.data.readers.load import load_dataset
from reidgen.data.samplers import EpochSampler
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, command
from tests.factories import make_table, write_crop


def message(kind, call, tmp_path):
    """The text of the error that a call raises, with the test's folder as DIR."""
    with pytest.raises(kind) as error:
        call()
    return str(error.value).replace(str(tmp_path), "DIR")


def test_a_truncated_jpeg(tmp_path):
    table = make_table([1], root=tmp_path)
    table.paths[0].write_bytes(table.paths[0].read_bytes()[:-60])
    text = message(DataError, lambda: CropStore.open(table, size=(32, 16)), tmp_path)
    assert re.sub(r"\(\d+ bytes", "(N bytes", text) == (
        "DIR/bounding_box_train/0001_c1s1_000000_00.jpg is not a readable image.\n"
        "  got: image file is truncated (N bytes not processed)\n"
        "  allowed: a whole picture: JPEG, PNG, BMP, WEBP, TIFF, GIF, PPM\n"
        "  try: copy or download the file again, or leave it out: reidgen prepare ... --bad-files drop --out NEW"
    )


def test_a_sixteen_bit_image(tmp_path):
    table = make_table([1], root=tmp_path)
    Image.new("I;16", (16, 32)).save(table.paths[0], format="PNG")
    assert message(DataError, lambda: CropStore.open(table, size=(32, 16)), tmp_path) == (
        "DIR/bounding_box_train/0001_c1s1_000000_00.jpg has no 8-bit colours.\n"
        "  got: image mode I;16\n"
        "  allowed: RGB, RGBA, RGBX, L, LA, P, PA, 1, CMYK, YCbCr\n"
        "  try: save it as 8-bit RGB, or leave it out: reidgen prepare ... --bad-files drop --out NEW"
    )


def test_a_name_that_does_not_parse(tmp_path):
    for name in ("0002_c1s1_000451_03.jpg", "IMG_17.jpg", "IMG_18.jpg"):
        write_crop(tmp_path / "bounding_box_train" / name)
    assert message(DataError, lambda: load_dataset("market1501", tmp_path), tmp_path) == (
        "DIR/bounding_box_train/IMG_17.jpg has a name that does not parse.\n"
        "  got: IMG_17.jpg, and 1 more\n"
        "  allowed: PID_cCsS_FRAME_BB.jpg, such as 0002_c1s1_000451_03.jpg (pattern "
        r"(?P<pid>-1|\d{1,18})_c(?P<camid>\d{1,18})(?:s(?P<seq>\d{1,18}))?(?:_(?P<frame>\d{1,18}))?(?:[_.].*)?\.\w+)"
        "\n"
        "  try: rename or remove it, or describe the names: dataset='folder' pattern='REGEX'"
    )


def test_a_folder_that_is_another_dataset(tmp_path):
    (tmp_path / "photos").mkdir()
    assert message(DataError, lambda: load_dataset("market1501", tmp_path), tmp_path) == (
        "DIR is not a Market-1501 folder.\n"
        "  got: photos\n"
        "  allowed: a folder with bounding_box_train or query or bounding_box_test\n"
        "  try: root with the folder as it was unpacked"
    )


def test_a_dataset_that_is_not_complete(tmp_path):
    for name in ("bounding_box_train/0001_c1_1.png", "query/0003_c2_6.png", "bounding_box_test/0003_c1_2.png"):
        write_crop(tmp_path / "detected" / name)
    assert message(DataError, lambda: load_dataset("cuhk03", tmp_path), tmp_path) == (
        "CUHK03 detected is not complete.\n"
        "  got: train 1 crops instead of 7,365; train 1 people instead of 767; query 1 crops instead of 1,400; "
        "query 1 people instead of 700; gallery 1 crops instead of 5,332; gallery 1 people instead of 700\n"
        "  allowed: the published counts\n"
        "  try: download and unpack it again, or read what is there with expect_counts='any'"
    )


def test_a_folder_without_a_table(tmp_path):
    assert message(DataError, lambda: ReidTable.read(tmp_path), tmp_path) == (
        "DIR holds no table.\n"
        "  got: no metadata.parquet in bounding_box_train, query, bounding_box_test\n"
        "  allowed: a folder written by reidgen\n"
        "  try: reidgen prepare --dataset market1501 --root DIR --out DIR"
    )


def test_a_pattern_that_was_forgotten(tmp_path):
    config = PrepareConfig(dataset="folder")
    assert message(ConfigError, lambda: prepare(config, root=tmp_path, out=tmp_path / "out"), tmp_path) == (
        "dataset='folder' needs pattern or labels.\n"
        "  got: neither\n"
        "  allowed: a regular expression with the named group pid, and camid unless nobody knows the cameras; "
        "optionally seq, frame, split\n"
        r"  try: pattern='(?P<pid>\\d+)_c(?P<camid>\\d+)'"
    )


def test_a_dataset_that_was_withdrawn(tmp_path):
    assert message(DataError, lambda: load_dataset("dukemtmcreid", tmp_path), tmp_path) == (
        'The dataset "dukemtmcreid" is not supported: it was withdrawn by its authors in 2019, as the people in it had '
        "not agreed (docs/ethics.md).\n"
        "  got: dukemtmcreid\n"
        "  allowed: market1501, msmt17, cuhk03, folder, reidgen, cuhk01, grid, ilids, mars, occluded-reid, pku-reid, "
        "prid, viper, sample"
    )


def test_a_folder_with_crops_of_another_table(tmp_path):
    make_table([1], root=tmp_path / "a").write(tmp_path / "out")
    other = make_table([2], root=tmp_path / "b")
    assert message(DataError, lambda: other.write(tmp_path / "out"), tmp_path) == (
        "DIR/out holds crops that are not of this table.\n"
        "  got: bounding_box_train/0001_c1s1_000000_00.jpg\n"
        "  allowed: a new folder, or one that the same table was written to\n"
        "  try: another folder"
    )


def test_a_missing_crop(tmp_path):
    table = make_table([1], root=tmp_path)
    table.paths[0].unlink()
    assert message(DataError, lambda: CropStore.open(table, size=(32, 16)), tmp_path) == (
        "DIR/bounding_box_train/0001_c1s1_000000_00.jpg cannot be read.\n"
        "  got: no such file or directory\n"
        "  allowed: the file that the table names\n"
        "  try: copy the file there again, or write the table anew"
    )


def test_an_empty_split(tmp_path):
    table = make_table([1], root=tmp_path, name="mine")
    assert message(DataError, lambda: CropStore.open(table.query, size=(32, 16)), tmp_path) == (
        "The table mine has no crops.\n"
        "  got: 0 rows\n"
        "  allowed: at least one crop\n"
        "  try: reidgen prepare shows which splits are empty"
    )  # fmt: skip


def test_a_batch_larger_than_the_table(tmp_path):
    assert message(DataError, lambda: EpochSampler(7, 32), tmp_path) == (
        "The table has too few crops for one batch.\n"
        "  got: 7 crops, batch 32\n"
        "  allowed: at least one batch\n"
        "  try: batch=7"
    )  # fmt: skip


def test_what_an_audit_shows(tmp_path):
    splits = ["train", "train", "query", "query", "query", "gallery", "gallery"]
    table = make_table([1, 1, 2, 3, 4, 2, 4], [1, 2, 1, 1, 1, 1, 2], splits=splits, root=tmp_path)
    write_crop(table.paths[0], size=(8, 4))
    table.paths[1].write_bytes(b"")
    assert [(one.severity, one.what, one.reason, one.which()) for one in audit(table).findings] == [
        ("error", "unreadable image", "an empty file", "bounding_box_train/0001_c2s1_000001_00.jpg"),
        ("warning", "absurd image", "tiny: 8x4, smallest is 16x8", "bounding_box_train/0001_c1s1_000000_00.jpg"),
        (
            "warning",
            "queries without a match",
            "1 of 3 queries: the person is in the gallery only in the query's own camera",
            "query/0002_c1s1_000002_00.jpg",
        ),
        (
            "warning",
            "queries without a match",
            "1 of 3 queries: the person is not in the gallery",
            "query/0003_c1s1_000003_00.jpg",
        ),
        (
            "note",
            "people with one camera",
            "2 of 3 test people: nothing to recognise them by from another camera",
            "2, 3",
        ),
    ]


def test_commands_can_be_pasted_into_a_shell():
    words = ["rm", "-r", "a folder; rm -rf $HOME", "it's", "plain"]
    assert shlex.split(command(*words)) == words
