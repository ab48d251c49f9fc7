"""A made table of two or three cameras, whose people stand before a background of the camera's colour."""

from dataclasses import dataclass

import numpy as np
import torch

from reidgen.config.translation import TranslatorConfig
from reidgen.generators.translation.crops import Crops
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
