"""Hugging Face's `datasets` reads a written tree, offline."""

import pytest
from PIL import Image

from tests.factories import make_table, write_crop

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed (extra dev)")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")]


@pytest.fixture(autouse=True)
def _offline(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def tree(tmp_path):
    splits = ["train"] * 3 + ["query"] * 2 + ["gallery"] * 4
    masks = [f"m{i}.png" for i in range(3)] + [None] * 6
    for seed, name in enumerate(masks[:3]):
        write_crop(tmp_path / "a" / name, mode="L", seed=seed)
    table = make_table([1, 1, 2, 5, 6, 5, 6, 0, -1], splits=splits, root=tmp_path / "a", mask=masks)
    return table.write(tmp_path / "tree"), tmp_path / "tree", str(tmp_path / "cache")


def check(part, table):
    assert part["pid"] == table.pids.tolist()
    assert part["camid"] == table.camids.tolist()
    assert part["origin"] == ["real"] * len(table)
    for row, path in zip(part, table.paths, strict=True):
        with Image.open(path) as image:
            assert row["image"].tobytes() == image.tobytes()


def test_imagefolder_reads_train_and_test(tree):
    table, folder, cache = tree
    found = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)
    assert set(found) == {"train", "test"}
    check(found["train"], table.train)
    check(found["test"], table.gallery)


@pytest.mark.parametrize("splits", [("train", "train"), ("query", "gallery")])
def test_empty_splits_do_not_stop_the_readers(tmp_path, splits):
    table = make_table([1, 1], splits=splits, root=tmp_path / "a").write(tmp_path / "tree")
    cache = str(tmp_path / "cache")
    plain = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "tree"), cache_dir=cache)
    assert set(plain) == ({"train"} if "train" in splits else {"test"})
    found = datasets.load_dataset(str(tmp_path / "tree"), cache_dir=cache)
    assert set(found) == set(splits)
    check(found[splits[0]], getattr(table, splits[0]))


def test_the_cards_configs_give_all_three_splits(tree):
    table, folder, cache = tree
    found = datasets.load_dataset(str(folder), cache_dir=cache)
    assert set(found) == {"train", "query", "gallery"}
    for split in found:
        check(found[split], getattr(table, split))
