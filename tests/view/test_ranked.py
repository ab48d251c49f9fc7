"""Search on the page: the order of a network's distances, pictures from elsewhere, maps, and refusals."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from reidgen.backbones.reid_model import build_network, save_reid
from reidgen.config import ReidConfig, as_dict
from reidgen.models import resnet
from reidgen.view.ranked import Ranker
from reidgen.view.shown import Shown
from tests.factories import crop_pixels
from tests.view.made import MARK, answers_of, client_of, written

CONFIG = ReidConfig(backbone="resnet18", weights="random", size=(32, 16), bottleneck=8, seed=3)
ROUNDING = 64 * 2**-24  # of a cosine in float32: 8 products of numbers of length 1, and as many in each length


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Answers with two small networks, about seven crops."""
    folder = tmp_path_factory.mktemp("view")
    table = written(folder / "table", [1, 2, 1, 1, 2, 0, -1], [1, 2, 1, 2, 3, 1, 1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        rankers = []
        for seed in (0, 1):
            network = build_network(CONFIG, people=2)
            network.initialise(torch.Generator().manual_seed(seed))
            save_reid(folder / f"{seed}.safetensors", network, {"reid": as_dict(CONFIG), "pids": [1, 2], "facts": {}})
            rankers.append(Ranker(folder / f"{seed}.safetensors", Shown.read([folder / "table"]), device="cpu"))
        for one in rankers:
            one._embedded.result()
    assert len(table) == 7
    return answers_of([folder / "table"], rankers=rankers)


def search(client, **asked):
    answer = client.post("/search", asked)
    assert answer.status_code == 200, answer.json
    return answer.json["rows"], answer.json["distances"]


def slow_distances(ranker, query):
    """Cosine distance of the query's embedding to each other crop's, one pair at a time."""
    made = ranker.model.embed(ranker.shown.crops).double().numpy()
    lengths = [np.linalg.norm(one) for one in made]
    pairs = {row: sum(a * b for a, b in zip(made[query], one, strict=True)) for row, one in enumerate(made)}
    return {row: 1 - product / (lengths[query] * lengths[row]) for row, product in pairs.items() if row != query}


@pytest.mark.parametrize("network", [0, 1])
@pytest.mark.parametrize("query", [0, 5])
def test_crops_in_the_order_of_a_networks_distances(answers, network, query):
    rows, distances = search(client_of(answers), network=network, row=query)
    wanted = slow_distances(answers.rankers[network], query)
    assert sorted(rows) == sorted(wanted)
    assert distances == sorted(distances)
    np.testing.assert_allclose(distances, [wanted[row] for row in rows], atol=ROUNDING)


def test_two_networks_do_not_agree(answers):
    first, second = (dict(zip(*search(client_of(answers), network=network, row=0), strict=True)) for network in (0, 1))
    assert first.keys() == second.keys() and max(abs(first[row] - second[row]) for row in first) > 100 * ROUNDING


def test_a_picture_from_elsewhere_finds_its_crop(answers):
    """The pixels of crop 4, saved without loss: its own distance is 0, and the order that of the crop."""
    stream = io.BytesIO()
    with Image.open(answers.shown.path(4)) as image:
        image.save(stream, "PNG")
    client = client_of(answers)
    key = client.post("/upload", data=stream.getvalue()).json["picture"]
    rows, distances = search(client, network=0, picture=key)
    assert rows[0] == 4 and abs(distances[0]) < ROUNDING
    own = dict(zip(*search(client, network=0, row=4), strict=True))
    np.testing.assert_allclose(distances[1:], [own[row] for row in rows[1:]], atol=ROUNDING)


def test_maps_are_pictures_over_the_query_and_the_crops(answers):
    drawn = client_of(answers).post("/maps", {"network": 0, "row": 0, "rows": [3, 1]}).json
    assert len(drawn) == 3 and len(set(drawn)) == 3 and all(one.startswith("data:image/png;base64,") for one in drawn)


@pytest.mark.parametrize("content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff\xe0" + b"0" * 50])
def test_what_is_no_picture(answers, content):
    told = client_of(answers).post("/upload", data=content)
    assert told.status_code == 422 and "This is no picture" in told.json["error"] and "/tmp" not in told.json["error"]


def test_pictures_are_forgotten_in_their_order(answers):
    stream = io.BytesIO()
    Image.fromarray(crop_pixels()).save(stream, "PNG")
    client = client_of(answers)
    keys = [client.post("/upload", data=stream.getvalue()).json["picture"] for _ in range(17)]
    told = client.post("/search", {"network": 0, "picture": keys[0]})
    assert told.status_code == 422 and "not there any more" in told.json["error"]
    assert client.post("/search", {"network": 0, "picture": keys[-1]}).status_code == 200


@pytest.mark.parametrize(
    "asked", [{}, [], {"network": 2, "row": 0}, {"network": True, "row": 0}, {"network": 0}, {"network": 0, "row": 7},
              {"network": 0, "row": [1]}, {"network": 0, "picture": "x"}],
)  # fmt: skip
def test_what_cannot_be_searched(answers, asked):
    for address in ("/search", "/maps"):
        assert client_of(answers).post(address, asked).status_code == 422


def test_without_a_network_it_is_said_how(tmp_path):
    written(tmp_path / "table", [1])
    told = client_of(answers_of([tmp_path / "table"])).post("/search", {"network": 0, "row": 0})
    assert told.status_code == 422 and "--model RUN" in told.json["error"]


def test_while_it_computes_the_answer_is_to_wait(answers, monkeypatch):
    monkeypatch.setattr(Ranker, "ready", False)
    assert client_of(answers).post("/search", {"network": 0, "row": 0}).json == {"waiting": True}


def test_the_mark_is_needed_to_upload(answers):
    assert client_of(answers).post("/upload", data=b"x", headers={"Origin": MARK["Origin"]}).status_code == 403
