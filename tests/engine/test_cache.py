import re

import numpy as np
import pytest
import torch

from reidgen.backbones.clip import FILES
from reidgen.backbones.weights import IMAGENET
from reidgen.data.pixels.store import CropStore
from reidgen.engine import cache
from reidgen.engine.runs.lock import alone
from reidgen.errors import DataError, RunError
from reidgen.filters.detection.detectors import TINY
from tests.factories import make_table

OTHERS = ("notes.txt", "holiday-64x32.npy", "resnet50.safetensors", ".hidden", "weights/mine.bin")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache with a file of each kind, and files that other programs, or the user, put there."""
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))
    CropStore.open(make_table([1, 2], root=tmp_path / "table"), size=(32, 16))
    digest = "0123456789abcdef" * 2
    for name in (f"embeddings-{digest}.safetensors", f"features-{digest}.f32", "weights/resnet18-f37072fd.safetensors"):
        (tmp_path / "cache" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "cache" / name).write_bytes(b"12345")
    for name in OTHERS:
        (tmp_path / "cache" / name).write_bytes(b"mine")
    return tmp_path / "cache"


def left(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_clearing_removes_what_is_reidgens_and_says_how_much(folder):
    removed = cache.clear()
    assert removed.pop("thumbnails") == (0, 0)
    assert removed == {"decoded crops": (1, removed["decoded crops"][1]), "embeddings": (1, 5), "features": (1, 5)}
    assert removed["decoded crops"][1] > 2 * 32 * 16 * 3
    assert left(folder) == {*OTHERS, "weights/resnet18-f37072fd.safetensors"}
    empty = dict.fromkeys(("decoded crops", "embeddings", "features", "thumbnails"), (0, 0))
    assert cache.clear(weights=True) == {**empty, "downloaded weights": (1, 5)}
    assert left(folder) == set(OTHERS)


def test_a_cache_that_is_written_to_is_left_whole(folder):
    before = left(folder)
    with alone(folder / "features-x.lock"), pytest.raises(RunError, match="is in use"):
        cache.clear()
    assert left(folder) == before
    (folder / "features-x.lock").touch()  # of a process that was killed: no lock
    assert cache.clear()["features"] == (1, 5)


def test_mapped_crops_outlive_their_file(folder, tmp_path):
    table = make_table([1, 2], root=tmp_path / "table")
    crops = CropStore.open(table, size=(32, 16))
    before = crops.batch(np.arange(2)).clone()
    cache.clear()
    assert torch.equal(crops.batch(np.arange(2)), before)


def test_a_file_that_cannot_be_removed_is_named(folder, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(DataError, match=re.escape(str(folder))):
        cache.clear()


def test_a_cache_that_is_not_there_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "none"))
    assert set(cache.clear(weights=True).values()) == {(0, 0)}
    assert not (tmp_path / "none").exists()


def test_the_names_of_all_published_weights_are_known():
    names = cache.KINDS[cache.WEIGHTS][1]
    published = [*IMAGENET.values(), *(f"clip-{name}" for _, name in FILES.values()), f"{TINY}.weights"]
    assert all(names.fullmatch(name) for name in published)
