import numpy as np
import pytest

from reidgen.config import AugmentConfig, UnsupervisedConfig
from reidgen.models import resnet
from tests.factories import make_table, write_crop

TINY = UnsupervisedConfig(
    backbone="resnet18",
    weights="random",
    size=(32, 16),
    epochs=3,
    epoch_steps=2,
    batch=8,
    crops_per_cluster=2,
    norm_batch=4,
    k1=6,
    k2=2,
    eps=0.5,
    min_samples=3,
    agreement_k=5,
    agreement_from=1,
    cameras="proxies",
    augment=AugmentConfig(pad=2),
    device="cpu",
)


@pytest.fixture(scope="package", autouse=True)
def narrow():
    """Residual networks of 8 channels instead of 64 to 512."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        yield


def people(root, persons=5, crops=6, test=True):
    """Crops of one person are one picture in slightly different light, seen by two cameras."""
    pids = [pid for pid in range(1, persons + 1) for _ in range(crops)]
    splits = ["train"] * len(pids)
    if test:
        pids += [pid for pid in range(persons + 1, persons + 3) for _ in range(2)]
        splits += ["query", "gallery"] * 2
    table = make_table(pids, splits=splits, root=root)
    rng = np.random.default_rng(0)
    for path, pid in zip(table.paths, pids, strict=True):
        write_crop(path, seed=pid, quality=int(rng.integers(40, 95)))
    return table


@pytest.fixture(scope="package")
def table(tmp_path_factory):
    return people(tmp_path_factory.mktemp("crops"))
