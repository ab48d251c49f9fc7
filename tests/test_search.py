import copy
import dataclasses
import json

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from reidgen.backbones.reid_model import build_network, load_reid, save_reid
from reidgen.cli import main
from reidgen.config import EvaluateConfig, GallerySearchConfig, ReidConfig, as_dict
from reidgen.data.pixels.images import ORIENTATION
from reidgen.data.readers.gather import gather_crops
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, RunError
from reidgen.evaluate import evaluate_reid
from reidgen.metrics.reranking.expansion import expand_gallery
from reidgen.models import resnet
from reidgen.models.reid.pooling import GeneralizedMeanPool
from reidgen.search import _short, search_gallery
from tests.factories import make_table, write_crop

CONFIG = ReidConfig(backbone="resnet18", weights="random", size=(32, 16), bottleneck=8, seed=3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weight file of a small network."""
    path = tmp_path_factory.mktemp("reid") / "reid.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        network = build_network(CONFIG, people=2)
        network.initialise(torch.Generator().manual_seed(0))
        save_reid(path, network, {"reid": as_dict(CONFIG), "pids": [1, 2], "facts": {}})
        yield path


@pytest.fixture(scope="module")
def model(weights):
    return load_reid(weights, device="cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    pids, camids = [1, 2, 1, 1, 2, 0, -1], [1, 2, 1, 2, 3, 1, 1]
    made = make_table(pids, camids, splits=["query"] * 2 + ["gallery"] * 5, root=folder, name="toy")
    return made.write(folder)


@pytest.fixture(scope="module")
def folder(table):
    return table.paths[0].parents[1]


def test_the_crop_that_a_query_was_made_of_is_not_found(model, table, folder, tmp_path):
    """A copy of a crop under another name finds the crop, unless it says that this is its parent."""
    crop = table.gallery.paths[1]
    rows = {"file_name": "bounding_box_train/0001_c2s1_000009_00.jpg", "pid": 1, "camid": 2, "split": "train"}
    for name, parent in (("alone", None), ("made", f"bounding_box_test/{crop.name}")):
        there = tmp_path / name / rows["file_name"]
        there.parent.mkdir(parents=True)
        there.write_bytes(crop.read_bytes())
        copied = ReidTable.from_rows([{**rows, "origin": "generated", "parent": parent}], root=tmp_path / name)
        copied.write_metadata(tmp_path / name)
    alone, made = (
        search_gallery(model, tmp_path / name, folder, GallerySearchConfig(top=9), out=tmp_path / f"found-{name}")
        for name in ("alone", "made")
    )
    assert str(crop) in alone["path"].to_list()
    left = alone.filter(pl.col("path") != str(crop))
    for column in ("path", "correct", "distance"):
        assert made[column].to_list() == left[column].to_list()


def sheet_size(folder):
    with Image.open(folder / "ranked.png") as sheet:
        return sheet.size


def by_hand(model, query, gallery):
    query, gallery = (model.embed(split).numpy() for split in (query, gallery))
    query, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, gallery))
    return 1 - query @ gallery.T


def test_the_table_tells_the_nearest_crops_in_order(model, table, folder, tmp_path):
    ranked = search_gallery(model, folder, folder, GallerySearchConfig(top=4), out=tmp_path)
    distances = by_hand(model, table.query, table.gallery)
    assert ranked["rank"].to_list() == [1, 2, 3, 4] * 2
    files = table.gallery.rows["file_name"].to_numpy()
    for number, (_, rows) in enumerate(ranked.group_by("query_path", maintain_order=True)):
        order = np.argsort(distances[number], kind="stable")[:4]
        assert rows["file"].to_list() == files[order].tolist()
        np.testing.assert_allclose(rows["distance"], distances[number][order], atol=1e-6)
        assert rows["pid"].to_list() == table.gallery.pids[order].tolist()
        assert rows["correct"].to_list() == (table.gallery.pids[order] == table.query.pids[number]).tolist()
    assert pl.read_parquet(tmp_path / "ranked.parquet").equals(ranked)
    assert pl.read_csv(tmp_path / "ranked.csv").height == 8
    assert sheet_size(tmp_path)[1] > 2 * 128
    assert json.loads((tmp_path / "run.json").read_text())["summary"]["known"] == 2


def test_market_leaves_out_the_own_camera_and_junk(model, folder, tmp_path):
    ranked = search_gallery(model, folder, folder, GallerySearchConfig(protocol="market"), out=tmp_path)
    first = ranked.filter(pl.col("query_pid") == 1)
    assert sorted(zip(first["pid"], first["camid"], strict=True)) == [(0, 1), (1, 2), (2, 3)]
    assert ranked.filter(pl.col("query_pid") == 2).height == 4


def test_nobody_has_to_be_known(model, tmp_path):
    for i in range(3):
        write_crop(tmp_path / "crops" / f"visitor {i}.png", seed=i)
    ranked = search_gallery(model, tmp_path / "crops" / "visitor 1.png", tmp_path / "crops", out=tmp_path / "out")
    assert set(ranked["file"]) == {"visitor 0.png", "visitor 2.png"}  # not the query's own file
    assert ranked["correct"].to_list() == [None, None] and ranked["pid"].to_list() == [None, None]
    with pytest.raises(DataError, match=r"Nobody knows who is on the query crop .*visitor 1"):
        options = GallerySearchConfig(protocol="market")
        search_gallery(model, tmp_path / "crops" / "visitor 1.png", tmp_path / "crops", options, out=tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_a_twin_under_another_name_is_found(model, tmp_path):
    for name in ("a", "b", "c"):
        write_crop(tmp_path / "crops" / f"{name}.png", seed=name == "c")
    ranked = search_gallery(model, tmp_path / "crops" / "a.png", tmp_path / "crops", out=tmp_path / "out")
    assert ranked["file"].to_list() == ["b.png", "c.png"]
    assert ranked["distance"][0] == pytest.approx(0, abs=1e-6)


def test_a_phones_picture_is_searched_as_it_is_shown_on_wish(model, tmp_path, capsys):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for name, size in (("upright", (32, 16)), ("other", (32, 16))):
        write_crop(tmp_path / "gallery" / f"{name}.png", size=size, seed=len(name))
    with Image.open(tmp_path / "gallery" / "upright.png") as upright:
        upright.rotate(90, expand=True).save(tmp_path / "phone.png", exif=exif)
    for pictures, near in ((None, False), ("as-shown", True)):
        config = GallerySearchConfig(pictures=pictures, maps="energy")
        ranked = search_gallery(model, tmp_path / "phone.png", tmp_path / "gallery", config, out=tmp_path / str(near))
        assert (ranked.filter(pl.col("file") == "upright.png")["distance"].item() < 1e-6) == near
        assert "1 of 1 pictures: EXIF asks for a rotation" in capsys.readouterr().err


@pytest.mark.parametrize("maps", ["energy", "match", "class"])
def test_maps_make_the_sheet_higher(model, folder, tmp_path, maps):
    search_gallery(model, folder, folder, GallerySearchConfig(shown=1), out=tmp_path / "plain")
    search_gallery(model, folder, folder, GallerySearchConfig(shown=1, maps=maps), out=tmp_path / "maps")
    plain, higher = sheet_size(tmp_path / "plain"), sheet_size(tmp_path / "maps")
    assert higher[0] == plain[0] and higher[1] == plain[1] + 128 + 8


def test_reranked_distances_are_searched_like_any(model, folder, tmp_path):
    config = GallerySearchConfig(rerank="k-reciprocal", rerank_k1=3, rerank_k2=2, top=2)
    ranked = search_gallery(model, folder, folder, config, out=tmp_path)
    assert ranked.height == 4 and (ranked["distance"] < 1).any()
    assert "re-ranked" in json.loads((tmp_path / "run.json").read_text())["summary"]["compared"]


def written(folder, pids, camids, splits):
    return make_table(pids, camids, splits=splits, root=folder, name="toy").write(folder)


@pytest.mark.parametrize(
    "options",
    [
        {"rerank": "k-reciprocal", "rerank_k1": 4, "rerank_k2": 2},
        {"query_expansion": "alpha", "expansion_neighbours": 2},
        {"gallery_expansion": "average", "expansion_neighbours": 2},
    ],
)
def test_market_ranks_as_an_evaluation_does_also_beside_junk(model, tmp_path, options):
    pids = [1, 2, 3, -1, 1, -1, 2, 3, 0, -1, 1, -1, 2, 3]
    splits = ["query"] * 3 + ["gallery"] * 11
    table = written(tmp_path / "data", pids, [1, 1, 1] + [2] * 8 + [3] * 3, splits)
    result = evaluate_reid(model, table, EvaluateConfig(**options))
    found = search_gallery(
        model,
        tmp_path / "data",
        tmp_path / "data",
        GallerySearchConfig(protocol="market", **options),
        out=tmp_path / "out",
    )
    lists = [group["file"].to_list() for _, group in found.group_by("query", maintain_order=True)]
    names = [[name.split("/")[-1] for name in one] for one in result.per_query["ranked_files"].to_list()]
    assert [[name.split("/")[-1] for name in one] for one in lists] == names


def test_nobody_is_the_same_as_a_distractor_or_junk(model, tmp_path):
    written(tmp_path / "data", [0, -1, 5, 0, -1, 5], [1] * 6, ["query"] * 3 + ["gallery"] * 3)
    ranked = search_gallery(model, tmp_path / "data", tmp_path / "data", out=tmp_path / "out")
    assert ranked.filter(pl.col("query_pid") <= 0)["correct"].to_list() == [None] * 6
    found = ranked.filter(pl.col("query_pid") == 5)
    assert dict(zip(found["pid"], found["correct"], strict=True)) == {0: False, -1: False, 5: True}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["summary"]["known"] == 1
    market = GallerySearchConfig(protocol="market")
    left = search_gallery(model, tmp_path / "data", tmp_path / "data", market, out=tmp_path / "market")
    assert left.filter(pl.col("query_pid") == 0)["pid"].sort().to_list() == [0, 5]  # two distractors are two people


def test_queries_for_which_no_crop_is_left_are_counted(model, weights, tmp_path, capsys):
    written(tmp_path / "data", [1, 2, 1, 1], [1, 1, 1, 1], ["query"] * 2 + ["gallery"] * 2)
    options = ["--query", str(tmp_path / "data"), "--gallery", str(tmp_path / "data"), "--protocol", "market"]
    main(["search", "--model", str(weights), *options, "--out", str(tmp_path / "out"), "--device", "cpu"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 queries; ")
    assert said[1] == "1 more have no crop that --protocol market leaves them"


def test_a_gallery_of_junk_alone_is_told(model, tmp_path):
    table = written(tmp_path / "data", [1, -1, -1], [1, 2, 3], ["query", "gallery", "gallery"])
    market = GallerySearchConfig(protocol="market")
    with pytest.raises(DataError, match="nothing but junk"):
        search_gallery(model, tmp_path / "data", tmp_path / "data", market, out=tmp_path / "out")
    with pytest.raises(DataError, match=r"nothing but junk\.\n  got: 2 crops of pid -1"):
        evaluate_reid(model, table)


def test_the_own_file_is_no_neighbour(model, tmp_path):
    written(tmp_path / "data", [1] * 8, list(range(1, 9)), ["gallery"] * 8)
    crops = tmp_path / "data" / "bounding_box_test"
    config = GallerySearchConfig(query_expansion="average", expansion_neighbours=2)
    ranked = search_gallery(model, crops, crops, config, out=tmp_path / "out")
    plain = gather_crops(crops, "gallery").table
    made = torch.nn.functional.normalize(model.embed(plain))
    expected = 1 - expand_gallery(made, neighbours=2) @ made.T
    expected.fill_diagonal_(torch.inf)
    for number, (_, rows) in enumerate(ranked.group_by("query", maintain_order=True)):
        np.testing.assert_allclose(rows["distance"], expected[number].sort().values[:7], atol=1e-6)


@pytest.mark.parametrize("maps", ["match", "class"])
def test_a_map_that_the_network_has_not_is_refused_before_the_work(model, folder, tmp_path, maps):
    other = dataclasses.replace(model, network=copy.deepcopy(model.network))
    other.network.pool = GeneralizedMeanPool()
    with pytest.raises(ConfigError, match="the network pools otherwise"):
        search_gallery(other, folder, folder, GallerySearchConfig(maps=maps), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_the_font_lacks_can_be_told_apart():
    assert (_short("a/Zoë.png"), _short("a/人.png"), _short("a/物.png")) == ("Zoë", "\\u4eba", "\\u7269")


def test_the_same_search_again_answers_at_once_and_another_is_refused(model, folder, tmp_path, monkeypatch):
    ranked = search_gallery(model, folder, folder, out=tmp_path)
    monkeypatch.setattr("reidgen.search.embeddings_of", lambda *_, **__: pytest.fail("computed again"))
    assert search_gallery(model, folder, folder, out=tmp_path).equals(ranked)
    with pytest.raises(RunError, match="holds another run"):
        search_gallery(model, folder, folder, GallerySearchConfig(top=3), out=tmp_path)


def test_a_gallery_of_the_query_alone_is_told(model, tmp_path):
    path = write_crop(tmp_path / "crops" / "a.png")
    with pytest.raises(DataError, match="Nothing is left to be found"):
        search_gallery(model, path, path, out=tmp_path / "out")


def test_a_verb_does_it(weights, folder, tmp_path, capsys):
    options = [
        "--model",
        str(weights),
        "--query",
        str(folder),
        "--gallery",
        str(folder),
        "--out",
        str(tmp_path / "out"),
    ]
    main(["search", *options, "--dry-run"])
    assert json.loads(capsys.readouterr().out)["config"]["top"] == 10
    assert not (tmp_path / "out").exists()
    main(["search", *options, "--device", "cpu", "--shown", "1"])
    assert capsys.readouterr().out.startswith("2 queries; picture: ")
    assert (tmp_path / "out" / "ranked.png").is_file()


@pytest.mark.parametrize(("options", "word"), [({"top": 0}, "top"), ({"shown": 0}, "shown"), ({"height": 8}, "height")])
def test_options_out_of_range_are_told(options, word):
    with pytest.raises(ConfigError, match=word):
        GallerySearchConfig(**options)


def test_a_threshold_says_who_is_the_same_and_how_often_it_takes_two_for_one(model, folder, tmp_path, capsys):
    plain = search_gallery(model, folder, folder, GallerySearchConfig(), out=tmp_path / "plain")
    least = 1 - float(plain["distance"].median())
    ranked = search_gallery(model, folder, folder, GallerySearchConfig(same_above=least), out=tmp_path / "same")
    assert ranked.drop("same").equals(plain)
    assert ranked["same"].to_list() == [distance <= 1 - least for distance in plain["distance"]]
    said = json.loads((tmp_path / "same" / "run.json").read_text())["summary"]
    assert said["same"] == ranked["same"].sum() and 0 < said["same"] < len(ranked)
    assert said["pairs_of_two_people"] == 5  # crops of 1, 1, 2 and a distractor; junk is nobody
    assert 0 <= said["false_match_rate"] == said["false_matches"] / 5


@pytest.mark.parametrize("options", [{"metric": "euclid"}, {"rerank": "k-reciprocal"}, {"query_expansion": "alpha"}])
def test_a_similarity_is_a_cosine_of_two_crops(options):
    with pytest.raises(ConfigError, match="same_above is a cosine of two crops"):
        GallerySearchConfig(same_above=0.5, **options)
    with pytest.raises(ConfigError, match="same_above is out of range"):
        GallerySearchConfig(same_above=1.5)
