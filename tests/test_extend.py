import dataclasses
import json
import re

import polars as pl
import pytest

import reidgen
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, RunError
from reidgen.extend import extend
from tests.factories import make_table


def test_the_public_name_is_the_function_also_after_its_module_was_imported():
    assert reidgen.extend is extend
    assert reidgen.extend is extend


def market_reader(folder):
    """What the field's readers do: pid and camera by a pattern over *.jpg, junk left out, train pids relabelled."""
    pattern = re.compile(r"([-\d]+)_c(\d)")
    found = {}
    for sub in ("bounding_box_train", "query", "bounding_box_test"):
        pairs = [tuple(map(int, pattern.search(path.name).groups())) for path in sorted((folder / sub).glob("*.jpg"))]
        found[sub] = [(pid, camid) for pid, camid in pairs if pid != -1]
    pids = sorted({pid for pid, _ in found["bounding_box_train"]})
    return found, {pid: label for label, pid in enumerate(pids)}


@pytest.fixture
def real(tmp_path):
    splits = ["train"] * 5 + ["query"] * 2 + ["gallery"] * 4
    return make_table([2, 2, 5, 5, 7, 3, 9, 3, 9, 0, -1], splits=splits, root=tmp_path / "real", name="real").write(
        tmp_path / "real"
    )


@pytest.fixture
def generated(tmp_path):
    pids = [1, 1, 1, 2, 2, 4, 4, 4]
    names = [f"bounding_box_train/{pid:04d}_c{1 + i % 2}s1_{i:06d}_00.jpg" for i, pid in enumerate(pids)]
    return make_table(
        pids,
        root=tmp_path / "people",
        name="people",
        origin=["generated"] * 8,
        generator=["f00d"] * 8,
        seed=list(range(8)),
        operation=["mix middle"] * 8,
        parent=[None, names[0], names[0], None, names[3], None, names[5], names[5]],
        score_ssim=[None, 0.4, 0.1, None, 0.5, None, 0.6, 0.7],
        rejected_by=[None, None, "ssim", "detector", None, None, None, None],
    )


def added(table):
    return table.rows.filter(pl.col("origin") == "generated")


def test_new_people_are_numbered_after_every_real_one(real, generated):
    table = extend(real, generated)
    assert table.rows.head(11).select(real.rows.columns).equals(real.rows)
    assert added(table)["pid"].to_list() == [10, 10, 11, 12, 12, 12]
    assert set(added(table)["split"]) == {"train"}
    assert added(table)["camid"].to_list() == [1, 2, 1, 2, 1, 2]


def test_rejected_crops_are_never_added_and_provenance_stays(real, generated):
    rows = added(extend(real, generated))
    assert rows["seed"].to_list() == [0, 1, 4, 5, 6, 7]
    assert rows["rejected_by"].null_count() == 6
    assert set(rows["generator"]) == {"f00d"}
    assert rows["score_ssim"].to_list() == [None, 0.4, 0.5, None, 0.6, 0.7]


@pytest.mark.parametrize(
    ("people", "crops", "seeds"), [(1, None, [0, 1]), (2, 1, [0, 4]), (None, 2, [0, 1, 4, 5, 6]), (0, None, [])]
)
def test_the_first_people_and_their_first_kept_crops_are_taken(real, generated, people, crops, seeds):
    assert added(extend(real, generated, people, crops))["seed"].to_list() == seeds


def test_any_market_reader_can_train_on_the_written_tree(real, generated, tmp_path):
    table = extend(real, generated, out=tmp_path / "out")
    found, labels = market_reader(tmp_path / "out")
    assert len(found["bounding_box_train"]) == 5 + 6
    assert sorted(labels) == [2, 5, 7, 10, 11, 12]
    assert sorted(labels.values()) == list(range(6))
    test_pids = {pid for sub in ("query", "bounding_box_test") for pid, _ in found[sub]}
    assert not test_pids & set(labels)
    assert ReidTable.read(tmp_path / "out").rows.height == len(table) == 17


def test_written_names_and_parents_belong_together(real, generated, tmp_path):
    source = dict(zip(generated.rows["seed"], generated.paths, strict=True))
    table = extend(real, generated, out=tmp_path / "out")
    read = ReidTable.read(tmp_path / "out")
    rows = {row["seed"]: row for row in added(read).iter_rows(named=True)}
    assert rows[1]["parent"] == rows[0]["file_name"]
    assert rows[7]["parent"] == rows[5]["file_name"]
    assert rows[4]["parent"] == "people:bounding_box_train/0002_c2s1_000003_00.jpg"  # rejected, so not in this tree
    for path, row in zip(table.paths, table.rows.iter_rows(named=True), strict=True):
        if row["origin"] == "generated":
            assert path.read_bytes() == source[row["seed"]].read_bytes()


def test_crops_of_real_people_go_to_the_person_their_parents_lead_to(real, tmp_path):
    of_2, of_5 = (
        real.rows.filter((pl.col("pid") == pid) & (pl.col("split") == "train"))["file_name"][0] for pid in (2, 5)
    )
    made = "bounding_box_train/0001_c1s1_000000_00.jpg"
    generated = make_table(
        [1, 1, 2],
        root=tmp_path / "variants",
        name="variants",
        origin=["generated"] * 3,
        parent=[of_5, made, of_2],
        score_identity=[0.1, float("-inf"), -0.1],
    )
    table = extend(real, generated, label="same", out=tmp_path / "out")
    assert sorted(added(table)["pid"].to_list()) == [2, 5, 5]
    assert dict(added(table).select("frame", "pid").iter_rows()) == {0: 5, 1: 5, 2: 2}
    _, labels = market_reader(tmp_path / "out")
    assert sorted(labels) == [2, 5, 7]


def test_a_crop_with_the_name_of_the_real_crop_it_was_made_from_finds_it(real, tmp_path):
    rows = real.train.rows.with_columns(parent=pl.col("file_name"), origin=pl.lit("generated"), pid=pl.lit(1))
    table = extend(real, ReidTable(rows, "translated"), label="same", unjudged="allow")
    assert added(table)["pid"].to_list() == real.train.pids.tolist()


def test_the_same_command_again_returns_what_is_there(real, generated, tmp_path):
    first = extend(real, generated, 2, out=tmp_path / "out")
    again = extend(real, generated, 2, out=tmp_path / "out")
    assert (
        again.rows.select("file_name", "pid", "parent")
        .sort("file_name")
        .equals(first.rows.select("file_name", "pid", "parent").sort("file_name"))
    )
    with pytest.raises(RunError, match="another run"):
        extend(real, generated, 1, out=tmp_path / "out")


@pytest.mark.parametrize("out", ["real", "people", "real/query/more"])
def test_neither_table_is_written_into(real, generated, tmp_path, out):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="lies in one"):
        extend(real, generated, out=tmp_path / out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_copies_share_no_file_with_either_table(real, generated, tmp_path):
    table = extend(real, generated, out=tmp_path / "out", crops="copy")
    assert {path.stat().st_nlink for path in table.paths} == {1}
    assert table.hash() == extend(real, generated).hash()


def test_the_run_says_what_was_added(real, generated, tmp_path):
    generated = generated.where(pl.col("seed") >= 0)
    far = ReidTable(generated.rows.with_columns(camid=pl.col("camid") + 5), "people")
    extend(real, far, out=tmp_path / "out")
    assert json.loads((tmp_path / "out/run.json").read_text())["summary"] == {
        "real_train_crops": 5,
        "real_train_people": 3,
        "added_crops": 6,
        "added_people": 3,
        "generated_share": 6 / 11,
        "cameras_of_added_crops_alone": [6, 7],
        "left_out_as_other_people": 0,
    }


def test_too_many_people_are_an_error_word_for_word(real, generated, tmp_path):
    with pytest.raises(ConfigError) as error:
        extend(real, generated, 280, out=tmp_path / "out")
    assert str(error.value) == (
        "people asks for more generated people than there are.\n"
        "  got: 280\n"
        "  allowed: 0 to 3: the people of people with a kept crop\n"
        "  try: people=3, or reidgen generate people --people 280"
    )
    assert not (tmp_path / "out").exists()


def test_new_people_have_no_real_person_word_for_word(real, generated):
    with pytest.raises(ConfigError) as error:
        extend(real, generated, label="same")
    assert str(error.value) == (
        'label "same" needs generated crops of real people.\n'
        "  got: 6 of 6 crops do not lead to a crop of real's train split, such as "
        "bounding_box_train/0001_c1s1_000000_00.jpg (parent: none)\n"
        "  allowed: crops whose parents end at a real train crop\n"
        "  try: label='new'"
    )


@pytest.mark.parametrize(("scores", "lacking"), [(None, 3), ([0.2, None, 0.1], 1)])
def test_nobody_gets_a_real_label_without_having_been_judged_word_for_word(real, tmp_path, scores, lacking):
    columns = {"origin": ["generated"] * 3, "parent": [real.rows["file_name"][i] for i in (0, 2, 4)]}
    if scores is not None:
        columns["score_identity"] = scores
    made = make_table([2, 5, 7], root=tmp_path / "made", name="variants", **columns)
    with pytest.raises(ConfigError) as error:
        extend(real, made, label="same", out=tmp_path / "same")
    assert str(error.value) == (
        'label "same" needs crops that the identity filter has judged.\n'
        f"  got: {lacking} of 3 crops of variants without score_identity\n"
        "  allowed: a table that has gone through reidgen filter --filters identity; or unjudged='allow'\n"
        "  try: reidgen filter --data GENERATED --reference REAL --filters identity --reid RUN --out FILTERED, and "
        "generated='FILTERED'; RUN is a train-reid on real crops"
    )
    assert not (tmp_path / "same").exists()
    table = extend(real, made, label="same", unjudged="allow", out=tmp_path / "same")
    assert added(table)["pid"].to_list() == [2, 5, 7]
    assert json.loads((tmp_path / "same" / "run.json").read_text())["config"]["unjudged"] == "allow"
    assert len(added(extend(real, made, label="new"))) == 3
    judged = made.rows.with_columns(
        score_identity=pl.Series([0.2, -1.0, 0.1]), rejected_by=pl.Series([None, "identity", None])
    )
    assert added(extend(real, ReidTable(judged, "variants"), label="same"))["pid"].to_list() == [2, 7]


def test_test_people_are_no_parents(real, tmp_path):
    parent = real.query.rows["file_name"][0]
    generated = make_table([1], root=tmp_path / "variants", parent=[parent], origin=["generated"])
    with pytest.raises(ConfigError, match="do not lead to a crop of real's train split"):
        extend(real, generated, label="same")


def test_tables_in_the_wrong_order_are_an_error(real, generated):
    with pytest.raises(DataError, match="holds crops of real people, and extend adds generated ones"):
        extend(generated, real)


def test_nothing_to_add_is_an_error(real, generated):
    rejected = ReidTable(generated.rows.with_columns(rejected_by=pl.lit("ssim")), "people")
    with pytest.raises(DataError, match="has no crops to add"):
        extend(real, rejected)
    with pytest.raises(DataError, match="no train crops to add to"):
        extend(real.query, generated)


def test_crops_that_count_as_another_person_do_not_get_the_label_of_their_parent(real, tmp_path):
    parents = [real.rows["file_name"][i] for i in (0, 0, 4, 4)]
    columns = {"origin": ["generated"] * 4, "parent": parents, "identity": ["keep", "new", "new", None]}
    columns["score_identity"] = [0.5, 0.5, 0.5, 0.5]
    made = make_table([2, 2, 7, 7], root=tmp_path / "made", name="variants", **columns)
    table = extend(real, made, label="same", out=tmp_path / "same")
    assert added(table)["pid"].to_list() == [2, 7]
    assert added(table)["identity"].to_list() == ["keep", None]
    summary = json.loads((tmp_path / "same" / "run.json").read_text())["summary"]
    assert (summary["added_crops"], summary["left_out_as_other_people"]) == (2, 2)
    assert len(added(extend(real, made, label="new"))) == 4
    with pytest.raises(DataError, match="has no crops that keep a label"):
        extend(real, made.where([False, True, True, False]), label="same")
    other = made.where([True] * 4)
    relabelled = dataclasses.replace(other, rows=other.rows.with_columns(identity=pl.lit("keep")))
    with pytest.raises(RunError, match="identities"):
        extend(real, relabelled, label="same", out=tmp_path / "same")
