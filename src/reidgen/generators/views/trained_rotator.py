"""A trained rotator: its weight file, and crops and structures in, crops out, the same pixels whatever the batch."""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidgen.backbones.opening import build_backbone
from reidgen.config import Device, as_dict
from reidgen.config.generators.views import RotatorConfig
from reidgen.engine.checkpoint import load_trained, save_weights
from reidgen.engine.devices.device import setup
from reidgen.engine.opening import config_of, field_of, open_network
from reidgen.errors import DataError
from reidgen.files import file_sha256
from reidgen.generators.sampling import PASS, to_pixels, to_tensor
from reidgen.generators.views.structures import PLANES
from reidgen.models.resnet import ResNet
from reidgen.models.views.identity import PARTS
from reidgen.models.views.rotator import Rotator, exchanged

FILE = "rotator.safetensors"
KIND = "rotator"
ALL = tuple(range(PARTS))


@dataclass(frozen=True)
class TrainedRotator:
    """A trained rotator, ready to turn people.

    Attributes:
        network: Without gradients, in evaluation mode.
        config: Of its training.
        hash: SHA-256 of the weight file, for the table's column `generator`.
        training: Facts of its training: split, images, table's hash, steps.
        path: The weight file.
        device: Where the network is.
    """

    network: Rotator
    config: RotatorConfig
    hash: str
    training: dict[str, Any]
    path: Path
    device: torch.device

    def on(self, device: Device) -> "TrainedRotator":
        """The same rotator on another device; "auto" leaves it where it is."""
        if device == "auto":
            return self
        where = setup(device).device
        return dataclasses.replace(self, network=copy.deepcopy(self.network).to(where), device=where)

    @torch.inference_mode()
    def rotate(
        self,
        crops: np.ndarray,
        structures: Tensor,
        *,
        clothes: np.ndarray | None = None,
        parts: Sequence[int] = ALL,
    ) -> np.ndarray:
        """The people of crops as structures stand, uint8 (N, H, W, 3); a crop's pixels do not depend on the others.

        Args:
            crops: uint8 (N, H, W, 3), of the training's size.
            structures: As `Structures.batch` gives them, (N, planes, H, W), -1 to 1.
            clothes: Crops of others, likewise, whose codes some parts take.
            parts: Which of the four, 0 the head to 3 the feet.

        Raises:
            DataError: Crops or structures have another shape.
        """
        self._check(crops, structures)
        out = []
        for start in range(0, len(crops), PASS):
            seen, stand, others = (
                None if one is None else _filled(one[start : start + PASS]).to(self.device)
                for one in (_images(crops), structures, None if clothes is None else _images(clothes))
            )
            assert seen is not None
            codes = self.network.identity(seen)[1]
            if others is not None:
                codes = exchanged(codes, self.network.identity(others)[1], tuple(parts))
            out.append(to_pixels(self.network(codes, stand)[: len(crops) - start]))
        return np.concatenate(out)

    def _check(self, crops: np.ndarray, structures: Tensor) -> None:
        planes, size = PLANES[self.config.structure], self.config.size
        wanted = (len(crops), planes, *size)
        if tuple(structures.shape) != wanted or crops.shape[1:] != (*size, 3):
            raise DataError(
                f"{self.path} was trained for other crops or structures.",
                got=f"crops {crops.shape}, structures {tuple(structures.shape)}",
                allowed=f"crops (N, {size[0]}, {size[1]}, 3), structures (N, {planes}, {size[0]}, {size[1]}) of kind "
                f"{self.config.structure}",
            )


def write_rotator(path: Path, network: Rotator, *, config: RotatorConfig, training: dict[str, Any]) -> None:
    """Write the network in `config.save_dtype`, with config and facts as metadata."""
    dtype = {"float32": torch.float32, "float16": torch.float16}[config.save_dtype]
    tensors = network.state_dict().items()
    saved = {name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors}
    save_weights(path, saved, config={"kind": KIND, KIND: as_dict(config), "training": training})


def load_rotator(path: Path | str, *, device: Device = "auto") -> TrainedRotator:
    """Open a trained rotator.

    Args:
        path: Run folder of train-rotator, or a rotator's .safetensors file.
        device: Where it shall run.

    Raises:
        WeightsError: The file is missing, damaged, or of another network.
    """
    fix = "reidgen train-rotator --data DIR --out DIR"
    file, tensors, metadata = load_trained(path, KIND, name=FILE, verb="train-rotator", fix=fix)
    config = config_of(RotatorConfig, metadata.get(KIND), file)
    training: dict[str, Any] = field_of(metadata, "training", dict, file)
    network = open_network(lambda: _built(config), tensors, file)
    where = setup(device).device
    opened = network.to(where).eval().requires_grad_(False)
    return TrainedRotator(opened, config, file_sha256(file), training, file, where)


def _built(config: RotatorConfig) -> Rotator:
    backbone = build_backbone(config)
    assert isinstance(backbone, ResNet), "the config has checked it"
    return Rotator(backbone, planes=PLANES[config.structure], width=config.width, code=config.code)


def _images(crops: np.ndarray) -> Tensor:
    return to_tensor(torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2))


def _filled(rows: Tensor) -> Tensor:
    """Rows filled up to a pass with the last one."""
    return torch.cat([rows, rows[-1:].expand(PASS - len(rows), *rows.shape[1:])])
