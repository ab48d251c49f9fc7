"""A made table of two or three cameras, whose people stand before a background of the camera's colour."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reidgen.config.generators.translation import TranslatorConfig
from reidgen.data.table import ReidTable
from reidgen.generators.translation.domain_crops import Crops
from reidgen.generators.translation.networks import GENERATOR, build_networks
from reidgen.generators.translation.translator import FILE, load_translator, write_translator
from reidgen.models.translation.paste import Paste
from tests.factories import make_table

SIZE = (32, 16)


@dataclass(frozen=True)
class Made:
    """Pictures in memory."""

    pictures: torch.Tensor

    def batch(self, indices):
        return self.pictures[torch.as_tensor(indices)]


def made_crops(cameras=(1, 2), people=6, crops=2, *, masks=True):
    """Crops of a coloured person (by person) before a coloured background (by camera), and their masks."""
    rows = [(pid, camera) for pid in range(1, people + 1) for camera in cameras for _ in range(crops)]
    pids, camids = np.array(rows).T
    rng = np.random.default_rng(0)
    of_person, of_camera = rng.integers(0, 256, (people + 1, 3)), rng.integers(0, 256, (max(cameras) + 1, 3))
    mask = np.zeros((len(rows), 1, *SIZE), np.uint8)
    for i in range(len(rows)):
        left, top = rng.integers(3, 6), rng.integers(3, 8)
        mask[i, :, top : top + 20, left : left + 7] = 255
    pictures = np.where(mask, of_person[pids][:, :, None, None], of_camera[camids][:, :, None, None]).astype(np.uint8)
    pictures = np.clip(pictures + rng.integers(-8, 9, pictures.shape), 0, 255).astype(np.uint8)
    table = make_table(pids.tolist(), camids.tolist())
    return Crops(table, Made(torch.from_numpy(pictures)), Made(torch.from_numpy(mask)) if masks else None)


def tiny_config(preset, **changes):
    """A translator that trains in no time."""
    cameras = {} if preset == "stargan" else {"source": 1, "target": 2}
    small = {"size": SIZE, "width": 4, "steps": 8, "device": "cpu", "snapshot_steps": 4}
    batch = {} if preset == "paste" else {"batch": 3}
    return TranslatorConfig(**{"preset": preset, **cameras, **small, **batch, **changes})


def write_people(folder, **options):
    """`made_crops` as a table on the disk: one crop of each of two sequences, masks as PNG."""
    crops = made_crops(**options)
    rows = []
    for i, row in enumerate(crops.table.rows.iter_rows(named=True)):
        mask = f"maps/mask/{Path(row['file_name']).stem}.png"
        for name, pixels in (
            (row["file_name"], crops.pictures.pictures[i].permute(1, 2, 0).numpy()),
            (mask, crops.masks.pictures[i, 0].numpy()),
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name)
        rows.append({**row, "seq": 1 + i % 2, "mask": mask})
    table = ReidTable.from_rows([{k: v for k, v in row.items() if k != "root"} for row in rows], root=folder)
    table.write_metadata(folder)
    return table


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Six people in cameras 1 and 2; two crops of each in each."""
    return write_people(tmp_path_factory.mktemp("people"))


def untrained(preset, folder, cameras=(1, 2), **changes):
    """A translator with random weights that are large enough to change something."""
    config = tiny_config(preset, **changes)
    torch.manual_seed(0)
    if preset == "paste":
        networks = torch.nn.ModuleDict({GENERATOR: Paste(4, config.size)})
        networks[GENERATOR].backgrounds.random_(0, 256)
    else:
        networks = build_networks(config, len(cameras))
    for weights in networks.parameters():
        weights.data += 0.3 * torch.randn_like(weights)
    folder.mkdir(parents=True, exist_ok=True)
    write_translator(folder / FILE, networks, config=config, cameras=cameras, training={"steps": 7})
    return load_translator(folder)
