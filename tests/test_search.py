import json

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from reidgen.cli import main
from reidgen.config import GallerySearchConfig, ReidConfig, as_dict
from reidgen.errors import ConfigError, DataError, RunError
from reidgen.models import resnet
from reidgen.reid.embed import build_network, load_reid, save_reid
from reidgen.search import search_gallery
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


@pytest.mark.parametrize(
    ("options", "word"), [({"top": 0}, "--top"), ({"shown": 0}, "--shown"), ({"height": 8}, "--height")]
)
def test_options_out_of_range_are_told(options, word):
    with pytest.raises(ConfigError, match=word):
        GallerySearchConfig(**options)
