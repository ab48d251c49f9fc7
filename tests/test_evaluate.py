import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch

from reidgen.backbones.reid_model import ReidModel, build_network
from reidgen.cli import main
from reidgen.config import EncoderConfig, EvaluateConfig, ReidConfig, StyleGANConfig
from reidgen.data.disk import parquet
from reidgen.errors import ConfigError, DataError, RunError
from reidgen.evaluate import Result, evaluate_reid
from reidgen.generators.inversion.encoder import build_encoder, load_encoder, write_encoder
from reidgen.generators.trained import load_generator
from reidgen.generators.weights import build_generator, write_generator
from reidgen.metrics import rank, rank_features, rerank
from reidgen.metrics.reranking.expansion import expand_gallery, expand_queries
from reidgen.models import resnet
from tests.factories import make_table, write_crop

CONFIG = ReidConfig(backbone="resnet18", weights="random", size=(32, 16), bottleneck=8, seed=3)
PIDS = [1, 2, 3, 1, 1, 2, 2, 0, -1, 1]
CAMIDS = [1, 1, 1, 2, 1, 2, 3, 2, 3, 3]
SPLITS = ["query"] * 3 + ["gallery"] * 7


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table(PIDS, CAMIDS, splits=SPLITS, root=tmp_path_factory.mktemp("crops"), name="toy")


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        network = build_network(CONFIG, people=2)
    network.initialise(torch.Generator().manual_seed(0))
    return ReidModel(
        network.eval(), CONFIG, [1, 2], {"steps": 40, "table": "ab", "generated_share": 0.25}, "cd", torch.device("cpu")
    )


def test_figures_are_those_of_the_embeddings(table, model):
    result = evaluate_reid(model, table)
    query, gallery = (model.embed(split).numpy() for split in (table.query, table.gallery))
    query, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, gallery))
    ranking = rank(1 - query @ gallery.T, PIDS[:3], PIDS[3:], CAMIDS[:3], CAMIDS[3:])
    assert (result.num_queries, result.num_unmatched, result.num_gallery) == (3, 1, 7)
    for name in ("mAP", "mAP_trapezoid", "mINP"):
        assert getattr(result, name) == pytest.approx(getattr(ranking, name)), name
    assert [result.rank1, result.rank5, result.rank10, result.rank20] == ranking.cmc[[0, 4, 9, 19]].tolist()
    assert result.cmc == ranking.cmc.tolist()
    rows = result.per_query
    assert rows["file_name"].to_list() == table.query.rows["file_name"].to_list()
    assert rows["ap"].to_list() == pytest.approx([ranking.ap[0], ranking.ap[1], None])
    assert rows["first_rank"].to_list() == ranking.first_rank.tolist()


def test_the_result_says_its_protocol(table, model):
    result = evaluate_reid(model, table)
    assert result.protocol == (
        "cosine distance, sum of the embeddings of the crop and of its mirror image, single query, gallery crops of "
        "the query's person and camera and junk (pid -1) removed, distractors (pid 0) kept; "
        "AP as mean of j / rank_j, and by trapezoid as Market-1501's own code; means over the queries with a match"
    )
    assert result.facts == {
        "steps": 40,
        "table": "ab",
        "generated_share": 0.25,
        "dataset": "toy",
        "split": "query against gallery",
        "crops": table.hash(),
        "model": "cd",
        "training_seed": 3,
    }
    other = evaluate_reid(model, table, EvaluateConfig(metric="euclid", flip="none", protocol="all"))
    assert other.protocol != result.protocol
    assert other.config["metric"] == "euclid"
    assert "1 without a match" in str(result)


def test_ranked_lists_hold_the_nearest_crops_after_removal(table, model):
    result = evaluate_reid(model, table, EvaluateConfig(ranked=2))
    first, second, third = result.per_query.iter_rows(named=True)
    assert third["ranked_files"] is None and third["correct"] is None
    assert len(first["ranked_files"]) == 5  # of seven, the junk crop and the one of person 1 in camera 1 are removed
    assert len(second["ranked_files"]) == 6
    assert first["correct"] == [pid == 1 for pid in first["ranked_pids"]]
    assert sum(first["correct"]) == 2 and first["correct"].index(True) + 1 == first["first_rank"]
    assert -1 not in first["ranked_pids"]
    names = dict(
        zip(table.gallery.rows["file_name"], zip(table.gallery.pids, table.gallery.camids, strict=True), strict=True)
    )
    assert [names[name] for name in first["ranked_files"]] == list(
        zip(first["ranked_pids"], first["ranked_camids"], strict=True)
    )
    assert all(path.endswith(name) for path, name in zip(first["ranked_paths"], first["ranked_files"], strict=True))


def test_protocol_all_removes_nothing_else(table, model):
    result = evaluate_reid(model, table, EvaluateConfig(protocol="all", ranked=1))
    assert len(result.per_query["ranked_files"][0]) == 7


@pytest.mark.parametrize("multi_query", ["none", "queries"])
def test_protocol_all_leaves_the_querys_own_picture_out(tmp_path, model, multi_query):
    table = make_table([1, 2, 1, 2, 1], [1, 1, 1, 1, 2], splits=["query"] * 2 + ["gallery"] * 3, root=tmp_path)
    for query, copy in zip(table.query.paths, table.gallery.paths, strict=False):
        shutil.copy(query, copy)
    config = EvaluateConfig(protocol="all", ranked=2, multi_query=multi_query)
    first, second = evaluate_reid(model, table, config).per_query.iter_rows(named=True)
    own = table.gallery.rows["file_name"].to_list()
    assert own[0] not in first["ranked_files"] and len(first["ranked_files"]) == 2
    assert own[1] not in second["ranked_files"] and second["first_rank"] == 0  # nothing else is of person 2
    assert "but the query's own picture" in evaluate_reid(model, table, config).protocol


def test_one_picture_asked_for_twice_is_found_by_neither(tmp_path, model):
    table = make_table([1, 1, 1, 1], [1, 2, 1, 2], splits=["query"] * 2 + ["gallery"] * 2, root=tmp_path)
    for copy in (1, 2):
        shutil.copy(table.paths[0], table.paths[copy])
    lists = evaluate_reid(model, table, EvaluateConfig(protocol="all")).per_query["ranked_files"]
    assert [one.to_list() for one in lists] == [[table.rows["file_name"][3]]] * 2


def test_crops_in_train_and_verdicts_of_filters_change_nothing(table, model):
    rows = pl.concat([table.rows, table.rows.head(2).with_columns(split=pl.lit("train"), origin=pl.lit("generated"))])
    extended = type(table)(rows.with_columns(rejected_by=pl.lit("ssim")), "toy")
    assert evaluate_reid(model, extended).per_query.equals(evaluate_reid(model, table).per_query)


def test_a_written_result_is_read_again_and_not_computed_twice(table, model, tmp_path, monkeypatch):
    result = evaluate_reid(model, table, out=tmp_path)
    again = Result.read(tmp_path)
    assert again.per_query.equals(result.per_query)
    assert (again.mAP, again.cmc, again.facts, again.protocol) == (
        result.mAP,
        result.cmc,
        result.facts,
        result.protocol,
    )
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["summary"]["mAP"] == result.mAP
    monkeypatch.setattr("reidgen.evaluate._evaluate", lambda *_: pytest.fail("computed again"))
    assert evaluate_reid(model, table, out=tmp_path).mAP == result.mAP
    with pytest.raises(RunError, match="holds another run"):
        evaluate_reid(model, table, EvaluateConfig(flip="none"), out=tmp_path)


def test_an_empty_split_is_told(table, model):
    with pytest.raises(DataError) as caught:
        evaluate_reid(model, table.gallery)
    assert str(caught.value) == (
        "toy has no query crops.\n"
        "  got: 7 crops, none of them in split query\n"
        "  allowed: splits query and gallery with at least one crop each\n"
        "  try: the folder of a prepared dataset, or of the extended table made from it"
    )


def test_a_query_of_nobody_is_told(table, model):
    rows = table.rows.with_columns(pid=pl.when(pl.col("split") == "query").then(0).otherwise("pid"))
    with pytest.raises(DataError, match=r"is of no person\.\n  got: pid 0; 3 queries of this kind"):
        evaluate_reid(model, type(table)(rows, "toy"))


def test_queries_without_any_match_are_told(table, model):
    with pytest.raises(DataError, match="No query has a match in the gallery"):
        evaluate_reid(model, table.where((pl.col("split") == "gallery") | (pl.col("pid") == 3)))


def test_a_folder_without_a_result_is_told(tmp_path):
    with pytest.raises(RunError, match=r"holds no result\.\n  got: no result\.json and queries\.parquet"):
        Result.read(tmp_path)


@pytest.mark.parametrize("name", ["result.json", "queries.parquet"])
def test_a_damaged_result_is_told(table, model, tmp_path, name):
    evaluate_reid(model, table).write(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40])
    with pytest.raises(RunError, match="is damaged"):
        Result.read(tmp_path)


def test_one_changed_bit_in_the_ranked_lists_is_told(table, model, tmp_path):
    evaluate_reid(model, table).write(tmp_path)
    data = bytearray((tmp_path / "queries.parquet").read_bytes())
    data[100] ^= 1
    (tmp_path / "queries.parquet").write_bytes(data)
    with pytest.raises(RunError, match=r"queries\.parquet is damaged"):
        Result.read(tmp_path)


@pytest.fixture(scope="module")
def encoder_run(table, tmp_path_factory):
    """The run folder of an encoder with random weights for a generator with random weights."""
    folder = tmp_path_factory.mktemp("encoder")
    gan_config = StyleGANConfig(size=(16, 8), z_dim=8, w_dim=8, channel_base=64, channel_max=8)
    torch.manual_seed(1)
    parts = {"generator": build_generator(gan_config).state_dict()}
    write_generator(folder / "generator.safetensors", parts, config=gan_config, training={"split": "train"})
    gan, config = load_generator(folder / "generator.safetensors", device="cpu"), EncoderConfig(backbone="resnet18")
    network = build_encoder(config, gan.network)
    network.initialise(torch.Generator().manual_seed(0))
    facts = {"held_out_people": [], "steps": 0, "table": "ab", "feature": "w+ less the mean of w, 3 passes"}
    write_encoder(folder / "encoder.safetensors", network, config=config, gan_hash=gan.hash, facts=facts)
    return folder


def test_latents_are_evaluated_like_any_embedding(table, encoder_run, tmp_path, capsys):
    encoder = load_encoder(encoder_run, device="cpu")
    result = evaluate_reid(encoder, table)
    query, gallery = (encoder.embed(split).numpy() for split in (table.query, table.gallery))
    query, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, gallery))
    ranking = rank(1 - query @ gallery.T, PIDS[:3], PIDS[3:], CAMIDS[:3], CAMIDS[3:])
    assert result.mAP == pytest.approx(ranking.mAP)
    assert result.facts["feature"] == "w+ less the mean of w, 3 passes"
    assert result.facts["model"] == encoder.hash
    data = str(table.write(tmp_path / "data").paths[0].parents[1])
    options = ["--model", str(encoder_run), "--data", data, "--out", str(tmp_path / "out"), "--device", "cpu"]
    main(["evaluate", *options])
    assert capsys.readouterr().out.startswith(f"mAP {result.mAP:.2%}")


def directions(model, split):
    embeddings = model.embed(split).numpy()
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def without_junk(table):
    return table.gallery.where(table.gallery.pids != -1)


def test_a_reranked_gallery_is_ranked_by_the_reranked_distances(table, model):
    config = EvaluateConfig(rerank="k-reciprocal", rerank_k1=4, rerank_k2=2, rerank_lambda=0.5)
    result, seen = evaluate_reid(model, table, config), without_junk(table)
    distances = rerank(directions(model, table.query), directions(model, seen), 4, 2, 0.5)
    ranking = rank(distances, PIDS[:3], seen.pids, CAMIDS[:3], seen.camids)
    assert (result.mAP, result.mINP) == (pytest.approx(ranking.mAP), pytest.approx(ranking.mINP))
    assert result.num_gallery == 7
    first = result.per_query.row(0, named=True)
    removed = (seen.pids == PIDS[0]) & (seen.camids == CAMIDS[0])
    order = [i for i in np.argsort(distances[0], kind="stable") if not removed[i]]
    assert first["ranked_files"] == [seen.rows["file_name"][int(i)] for i in order]
    assert ", re-ranked by k-reciprocal encoding over queries and gallery (k1 4, k2 2, lambda 0.5), " in result.protocol


def test_lambda_1_ranks_as_without(table, model):
    plain = evaluate_reid(model, table)
    again = evaluate_reid(model, table, EvaluateConfig(rerank="k-reciprocal", rerank_k1=3, rerank_lambda=1.0))
    assert again.per_query["first_rank"].equals(plain.per_query["first_rank"])
    assert again.mAP == pytest.approx(plain.mAP)


def test_expanded_queries_are_ranked_by_what_they_became(table, model):
    options = {"expansion_neighbours": 2, "expansion_alpha": 2.0}
    config = EvaluateConfig(query_expansion="alpha", gallery_expansion="average", **options)
    result, seen = evaluate_reid(model, table, config), without_junk(table)
    gallery = expand_gallery(model.embed(seen), neighbours=2)
    query = expand_queries(model.embed(table.query), gallery, neighbours=2, alpha=2.0)
    ranking = rank_features(query, gallery, PIDS[:3], seen.pids, CAMIDS[:3], seen.camids)
    assert result.per_query["ap"].to_list()[:2] == ranking.ap[:2].tolist()
    assert not torch.allclose(query, torch.nn.functional.normalize(model.embed(table.query)))
    words = "gallery expanded by the 2 nearest gallery crops, alike, query expanded by the 2 nearest gallery crops, by"
    assert words in result.protocol and "by cosine to the power of 2, single query" in result.protocol


def test_several_crops_of_a_person_are_one_query(tmp_path, model):
    pids, camids = [1, 2, 1, 1, 2, 2, 1], [1, 1, 1, 2, 2, 3, 3]
    table = make_table(pids, camids, splits=["query"] * 3 + ["gallery"] * 4, root=tmp_path, name="toy")
    result = evaluate_reid(model, table, EvaluateConfig(multi_query="queries"))
    theirs = directions(model, table.query)
    pooled = np.stack([theirs[[0, 2]].mean(axis=0), theirs[1]])
    distances = 1 - pooled / np.linalg.norm(pooled, axis=1, keepdims=True) @ directions(model, table.gallery).T
    ranking = rank(distances, [1, 2], pids[3:], [1, 1], camids[3:])
    assert (result.num_queries, result.facts["pooled"]) == (2, 3)
    assert result.per_query["ap"].to_list() == pytest.approx(ranking.ap.tolist())
    assert result.per_query["file_name"].to_list() == table.query.rows["file_name"][[0, 1]].to_list()
    assert "multiple query: mean of a person's query crops by one camera" in result.protocol


def test_boxes_in_a_folder_are_a_part_of_the_run(table, model, tmp_path):
    for number, (pid, camid) in enumerate(zip(PIDS[:3], CAMIDS[:3], strict=True)):
        write_crop(tmp_path / "gt" / f"{pid:04d}_c{camid}s1_{number:06d}_00.jpg", seed=50 + number)
    config = EvaluateConfig(multi_query=str(tmp_path / "gt"))
    result = evaluate_reid(model, table, config, out=tmp_path / "run")
    assert result.facts["pooled"] == 3 and "in a folder" in result.protocol
    assert result.mAP != evaluate_reid(model, table).mAP or not result.per_query.equals(
        evaluate_reid(model, table).per_query
    )
    write_crop(tmp_path / "gt" / "0001_c1s1_000009_00.jpg", seed=99)
    with pytest.raises(RunError, match=r"inputs\.pool"):
        evaluate_reid(model, table, config, out=tmp_path / "run")


def test_too_few_crops_for_a_reranking_are_told(table, model):
    with pytest.raises(DataError, match=r"not enough features.*\n  got: 9 features, 21 neighbours"):
        evaluate_reid(model, table, EvaluateConfig(rerank="k-reciprocal"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rerank_k1": 0}, "rerank_k1 must be positive"),
        ({"rerank_lambda": 1.2}, "rerank_lambda is a share"),
        ({"expansion_neighbours": 0}, "expansion_neighbours must be positive"),
        ({"expansion_alpha": -1.0}, "expansion_alpha must not be negative"),
        ({"metric": "euclid", "query_expansion": "average"}, "Expansions are means of embeddings of length 1"),
    ],
)
def test_a_ranking_that_cannot_be_is_told_at_once(options, message):
    with pytest.raises(ConfigError, match=message):
        EvaluateConfig(**options)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"mAP": "high"}, "mAP is of type str"),
        ({"facts": 3}, "facts is of type int"),
        ({"num_queries": True}, "num_queries is of type bool"),
        ({"mAP": 0.99}, "other values than were written"),
        ({"cmc": ["x"], "content_sha256": None}, "cmc.0 is of type str"),
    ],
)
def test_a_result_of_other_types_is_told(table, model, tmp_path, change, got):
    evaluate_reid(model, table).write(tmp_path)
    known = json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps(known | change))
    with pytest.raises(RunError, match=r"result\.json is damaged") as error:
        Result.read(tmp_path)
    assert error.value.got == got


def test_a_table_of_queries_without_a_column_is_told(table, model, tmp_path):
    evaluate_reid(model, table).write(tmp_path)
    path = tmp_path / "queries.parquet"
    path.write_bytes(parquet.encode(pl.read_parquet(path).drop("correct")))
    with pytest.raises(RunError, match=r"queries\.parquet is damaged\.\n  got: column correct missing"):
        Result.read(tmp_path)
