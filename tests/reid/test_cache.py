import dataclasses

import pytest
import torch

from reidgen.backbones.reid_model import ReidModel, build_network
from reidgen.config import ReidConfig
from reidgen.errors import DataError
from reidgen.reid import cache
from reidgen.reid.cache import embeddings_of
from tests.factories import make_table

CONFIG = ReidConfig(backbone="resnet18", weights="random", size=(32, 16), bottleneck=8)
pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture
def model(monkeypatch, tmp_path):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))
    network = build_network(CONFIG, people=2)
    network.initialise(torch.Generator().manual_seed(0))
    return ReidModel(network.eval(), CONFIG, [1, 2], {}, "ab", torch.device("cpu"))


@pytest.fixture
def table(tmp_path):
    return make_table([1, 2, 3], root=tmp_path / "crops")


def kept(tmp_path):
    return sorted((tmp_path / "cache").glob("embeddings-*"))


def test_the_second_time_they_are_read(model, table, tmp_path, monkeypatch):
    first = embeddings_of(model, table)
    assert torch.equal(first, model.embed(table)) and len(kept(tmp_path)) == 1
    copy = table.write(tmp_path / "elsewhere")
    monkeypatch.setattr("reidgen.backbones.reid_model.embed", lambda *_, **__: pytest.fail("computed again"))
    assert torch.equal(embeddings_of(model, copy), first)
    with pytest.raises(pytest.fail.Exception):
        embeddings_of(model, table, embeddings="computed")


def test_whatever_changes_them_is_another_entry(model, table, tmp_path):
    embeddings_of(model, table)
    embeddings_of(model, table, flip="none")
    embeddings_of(model, table, batch=2)
    embeddings_of(dataclasses.replace(model, hash="cd"), table)
    embeddings_of(model, table.where([True, True, False]))
    assert len(kept(tmp_path)) == 5
    embeddings_of(model, table.where([True, False, True]), embeddings="computed")
    assert len(kept(tmp_path)) == 5


def flipped(content, place):
    """One bit of it."""
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"PK\x03\x04" + content[4:],
        lambda content: content[:-7],
        lambda content: flipped(content, 10),
        lambda content: flipped(content, len(content) - 3),
    ],
    ids=["empty", "another kind", "cut off", "a bit of the header", "a bit of the numbers"],
)
def test_a_damaged_entry_is_told(model, table, tmp_path, damage):
    embeddings_of(model, table)
    path = kept(tmp_path)[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"is damaged\.\n(.|\n)*try: rm "):
        embeddings_of(model, table)


def test_an_empty_table_is_told_as_ever(model, table):
    with pytest.raises(DataError, match="has no crops"):
        embeddings_of(model, table.query)
    assert cache.KIND >= 1
