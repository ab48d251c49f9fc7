"""The networks by which an inversion is judged: features from ImageNet, a trained re-ID network, MoCo."""

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from reidgen.config import Device, EncoderConfig, LikenessConfig, ReidConfig
from reidgen.engine.device import setup
from reidgen.generators.likeness import Likeness
from reidgen.models.lpips import Lpips, LpipsName
from reidgen.models.resnet import ResNet
from reidgen.reid.embed import ReidModel, build_backbone, load_reid
from reidgen.reid.lpips import load_lpips
from reidgen.reid.weights import load_backbone, weights_hash

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


def load_likeness(config: LikenessConfig, *, reid: Path | str | None = None, device: Device = "auto") -> Likeness:
    """Load the networks that a config's weights ask for, and the re-ID network if one is given.

    Args:
        config: Weights of the distances, and the perceptual network.
        reid: Run folder of train-reid.
        device: Where the networks shall be.

    Raises:
        ConfigError: The distance of re-ID, or of MoCo, has a weight and there is no such network.
        WeightsError: A weight file cannot be had, or does not fit.
        MissingExtraError: LPIPS's heads are asked for and the package that has them is not there.
    """
    facts: dict[str, str] = {}
    network: ResNet | Lpips | None = None
    if config.perceptual_weight:
        network, known = _perceptual(config)
        network, facts = network.to(setup(device).device), {**facts, **known}
    model = None
    if reid is not None:
        model = load_frozen_reid(reid, device=device)
        facts["reid"] = model.hash
    moco = None
    if config.moco_weight and config.moco_weights is not None:
        moco = FrozenMoco(_filled(ReidConfig(weights=config.moco_weights)), weights_hash(config.moco_weights))
        moco.network.eval().requires_grad_(False).to(setup(device).device)
        facts["moco"] = moco.hash
    likeness = Likeness(network, model, moco, facts)
    likeness.check(config)
    return likeness


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


def load_start(config: EncoderConfig) -> ResNet | None:
    """The network that an encoder's backbone starts from; None where that is chance.

    Raises:
        WeightsError: Its file cannot be had or read, is of another network, or of the other stride layout.
    """
    if config.weights == "random":
        return None
    return _filled(ReidConfig(backbone=config.backbone, weights=config.weights, stride_in=config.stride_in))


def _perceptual(config: LikenessConfig) -> tuple[ResNet | Lpips, dict[str, str]]:
    """The network of the perceptual distance, and its name and hashes."""
    backbone, weights = config.perceptual_backbone, config.perceptual_weights
    known = {"perceptual_weights": weights_hash(weights)}
    if backbone == "lpips-alex" or backbone == "lpips-vgg":
        name: LpipsName = "alex" if backbone == "lpips-alex" else "vgg"
        lpips, heads = load_lpips(name, weights=weights, heads=config.perceptual_heads)
        return lpips.eval(), {"perceptual": f"{backbone}, version 0.1", **known, "perceptual_heads": heads}
    resnet = _filled(ReidConfig(backbone=backbone, weights=weights, stride_in=config.perceptual_stride_in))
    return resnet.eval().requires_grad_(False), {"perceptual": f"resnet-perceptual, {backbone}", **known}


def _filled(asked: ReidConfig) -> ResNet:
    network = build_backbone(asked)
    assert isinstance(network, ResNet), "the configs that ask know no other"
    load_backbone(network, asked)
    return network
