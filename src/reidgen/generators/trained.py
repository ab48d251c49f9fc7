"""A trained generator, opened from its weight file."""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidgen.config import Device, GeneratorConfig, StyleGANConfig
from reidgen.engine.devices.device import chosen
from reidgen.engine.opening import open_network
from reidgen.generators import sampling
from reidgen.generators.weights import DCGAN, build_generator, read_generator
from reidgen.models.stylegan.generator import GeneratorNetwork


@dataclass(frozen=True)
class TrainedGenerator:
    """A trained generator, ready to be sampled.

    Attributes:
        network: The averaged generator, without gradients.
        config: Of its training.
        hash: SHA-256 of the weight file, for the table's column `generator`.
        training: Facts of its training: split, images, table's hash, kimg, parent's hash.
        path: The weight file.
        device: Where the network is.
    """

    network: GeneratorNetwork
    config: GeneratorConfig
    hash: str
    training: dict[str, Any]
    path: Path
    device: torch.device

    def on(self, device: Device) -> "TrainedGenerator":
        """The same generator on another device; "auto" leaves it where it is."""
        if device == "auto":
            return self
        return self.to(chosen(device))

    def to(self, device: torch.device) -> "TrainedGenerator":
        """A copy of the generator on a device."""
        return dataclasses.replace(self, network=copy.deepcopy(self.network).to(device), device=device)

    @property
    def kind(self) -> str:
        """Which network it is: stylegan2, stylegan3-t, stylegan3-r or dcgan."""
        return self.config.network if isinstance(self.config, StyleGANConfig) else DCGAN

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return self.config.size

    def map(self, seeds: Sequence[int], *, psi: float = 1.0) -> torch.Tensor:
        """One w a seed, (N, w_dim) on the CPU, moved towards the mean by psi; the same whatever the other seeds are."""
        return sampling.map_seeds(self.network, seeds, psi=psi, device=self.device)

    def synthesize(self, w: torch.Tensor, seeds: Sequence[int]) -> np.ndarray:
        """Images of w (N, w_dim) or of ws (N, num_ws, w_dim), uint8 (N, H, W, 3).

        Args:
            w: As `map` gives it, or one w a layer.
            seeds: Seed of each image's noise.
        """
        ws = self.network.spread(w) if w.ndim == 2 else w
        return sampling.synthesize(self.network, ws, seeds, device=self.device)

    def sample(self, seeds: Sequence[int], *, psi: float = 1.0) -> np.ndarray:
        """Images of random people, uint8 (N, H, W, 3); a seed's pixels do not depend on the other seeds."""
        return self.synthesize(self.map(seeds, psi=psi), seeds)


def load_generator(path: Path | str, *, device: Device = "auto") -> TrainedGenerator:
    """Open a trained generator.

    Args:
        path: Run folder of train-generator, or a generator's .safetensors file.
        device: Where it shall run.

    Raises:
        WeightsError: The file is missing, damaged, or of another network.
    """
    file = read_generator(path)
    network = open_network(lambda: build_generator(file.config), file.parts["generator"], file.path)
    where = chosen(device)
    network = network.to(where).eval().requires_grad_(False)
    return TrainedGenerator(network, file.config, file.hash, file.training, file.path, where)
