"""A made table of people before backgrounds, with pictures of bodies, key points and headings."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from reidgen.config.generators.views import RotatorConfig
from reidgen.data.table import ReidTable
from reidgen.generators.views.trained_rotator import FILE, load_rotator, write_rotator
from reidgen.generators.views.views_training import ROTATOR, build_networks
from tests.generators.translation.conftest import write_people

SIZE = (32, 16)
ANGLES = (90, 180)


def tiny_config(**changes):
    """A rotator that trains in no time."""
    small = {"size": SIZE, "width": 4, "code": 8, "steps": 4, "batch": 4, "device": "cpu", "snapshot_steps": 2}
    return RotatorConfig(**{"backbone": "resnet18", "weights": "random", "angles": ANGLES, **small, **changes})


def write_views(folder):
    """`write_people` with the columns mesh_0, mesh_90, mesh_180 (masks, moved), keypoints and yaw."""
    table = write_people(folder)
    masks = [np.asarray(Image.open(folder / name)) for name in table.rows["mask"]]
    columns = {}
    for angle in (0, *ANGLES):
        names = [f"maps/mesh_{angle}/{Path(name).stem}.png" for name in table.rows["mask"]]
        (folder / "maps" / f"mesh_{angle}").mkdir(parents=True)
        for name, mask in zip(names, masks, strict=True):
            Image.fromarray(np.roll(mask, angle // 90, axis=1)).save(folder / name)
        columns[f"mesh_{angle}"] = names
    rng = np.random.default_rng(0)
    columns["keypoints"] = [np.column_stack([rng.uniform(0, 16, (17, 2)), np.full(17, 2.0)]).ravel() for _ in masks]
    columns["yaw"] = np.round(rng.uniform(-180, 180, len(masks)), 2)
    rows = table.rows.with_columns(**{name: pl.Series(values) for name, values in columns.items()})
    made = ReidTable.from_rows(rows.drop("root"), root=folder, name="people")
    made.write_metadata(folder)
    return made


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Six people, four crops of each."""
    return write_views(tmp_path_factory.mktemp("views"))


def untrained(folder, **changes):
    """A rotator with random weights that are large enough to change something."""
    config = tiny_config(**changes)
    network = build_networks(config, 6)[ROTATOR]
    torch.manual_seed(0)
    for name, weights in network.named_parameters():
        if not name.startswith("identity.backbone"):
            weights.data += 0.2 * torch.randn_like(weights)
    folder.mkdir(parents=True, exist_ok=True)
    write_rotator(folder / FILE, network, config=config, training={"steps": 7})
    return load_rotator(folder)
