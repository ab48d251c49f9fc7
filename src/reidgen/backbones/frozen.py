"""Trained networks that judge images and do not learn: re-ID, and MoCo."""

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from reidgen.backbones.opening import open_resnet
from reidgen.backbones.reid_model import ReidModel, load_reid
from reidgen.backbones.weights import weights_hash
from reidgen.config import BackboneConfig, Device
from reidgen.models.resnet import ResNet

MOCO_SIZE = (224, 224)  # at which MoCo learned


@dataclass(frozen=True, eq=False)
class FrozenReid:
    """A trained re-ID network that gives gradients to images and none to itself."""

    model: ReidModel

    @property
    def hash(self) -> str:
        """SHA-256 of its weight file."""
        return self.model.hash

    def embeddings(self, images: Tensor) -> Tensor:
        """Normalised crops (N, 3, H, W) of any size, resized as its training did, to embeddings (N, D)."""
        size = self.model.config.size
        if tuple(images.shape[2:]) != size:
            images = functional.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
        return self.model.network(images).embedding.float()

    def to(self, device: torch.device) -> "FrozenReid":
        """A copy on a device."""
        network = copy.deepcopy(self.model.network).to(device)
        return FrozenReid(dataclasses.replace(self.model, network=network, device=device))


@dataclass(frozen=True, eq=False)
class FrozenMoco:
    """MoCo's ResNet-50 (He et al. 2020), whose pooled features judge images at 224x224.

    Attributes:
        network: In evaluation mode, without gradients of its own.
        hash: SHA-256 of its weight file.
    """

    network: ResNet
    hash: str

    def embeddings(self, images: Tensor) -> Tensor:
        """Normalised crops (N, 3, H, W) of any size to features (N, 2048)."""
        images = functional.interpolate(images, MOCO_SIZE, mode="bicubic", antialias=True, align_corners=False)
        return self.network(images).float().mean(dim=(2, 3))

    def to(self, device: torch.device) -> "FrozenMoco":
        """A copy on a device."""
        return FrozenMoco(copy.deepcopy(self.network).to(device), self.hash)


def load_frozen_reid(path: Path | str, *, device: Device = "auto") -> FrozenReid:
    """A trained re-ID network, as a judge of images.

    Args:
        path: Run folder of train-reid.
        device: Where it shall be.

    Raises:
        WeightsError: There is none.
    """
    loaded = load_reid(path, device=device)
    loaded.network.requires_grad_(False)
    return FrozenReid(loaded)


def load_moco(weights: str) -> FrozenMoco:
    """MoCo's ResNet-50 from its published file, on the CPU.

    Raises:
        WeightsError: The file cannot be had or read, or is of another network.
    """
    network = open_resnet(BackboneConfig(weights=weights))
    return FrozenMoco(network.eval().requires_grad_(False), weights_hash(weights))
