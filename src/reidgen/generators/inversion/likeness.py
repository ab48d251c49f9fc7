"""How like an image is to its original: pixels, what an ImageNet network sees, re-ID embedding, MoCo's features."""

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reidgen.backbones.frozen import load_frozen_reid, load_moco
from reidgen.backbones.lpips import load_lpips
from reidgen.backbones.opening import open_resnet
from reidgen.backbones.weights import weights_hash
from reidgen.config import BackboneConfig, Device, LikenessConfig
from reidgen.data.augment import IMAGENET_MEAN, IMAGENET_STD
from reidgen.engine.devices.device import chosen
from reidgen.errors import ConfigError, option
from reidgen.generators.sampling import to_tensor
from reidgen.losses.images.perceptual import feature_distance, lpips_distance
from reidgen.models.perceptual.lpips import Lpips, LpipsName
from reidgen.models.resnet import ResNet

# Of each distance that needs a network: what gives it one, and what to type.
NEEDED = {
    "perceptual": ("a Likeness with a perceptual network", option(perceptual_weight=0)),
    "reid": (f"{option('reid')} with the folder of a train-reid", f"{option(reid='DIR')}, or {option(reid_weight=0)}"),
    "moco": (
        f"{option('moco_weights')} with MoCo's ResNet-50",
        f"{option(moco_weights='FILE')}, or {option(moco_weight=0)}",
    ),
}


class Identifier(Protocol):
    """A network whose embeddings are compared by cosine, re-ID's or MoCo's, as this room needs it."""

    @property
    def hash(self) -> str:
        """SHA-256 of its weights."""

    def embeddings(self, images: Tensor) -> Tensor:
        """Normalised crops (N, 3, H, W) of any size to embeddings (N, D), with gradients of the images."""

    def to(self, device: torch.device) -> "Identifier":
        """A copy on a device."""


@dataclass(frozen=True)
class Target:
    """What originals look like to the networks, computed once."""

    images: Tensor
    features: list[Tensor]
    embeddings: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Likeness:
    """Measures distances of images to their originals; its networks are frozen.

    Attributes:
        perceptual: Network of the perceptual distance, in evaluation mode: LPIPS's or a ResNet; None leaves it out.
        reid: A re-ID network; None leaves that distance out.
        moco: MoCo's network; likewise.
        facts: Which networks these are: names and hashes.
    """

    perceptual: ResNet | Lpips | None = None
    reid: Identifier | None = None
    moco: Identifier | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The distances that are measured."""
        return ("l2", *(() if self.perceptual is None else ("perceptual",)), *self._identifiers)

    @property
    def _identifiers(self) -> dict[str, Identifier]:
        return {name: network for name, network in (("reid", self.reid), ("moco", self.moco)) if network is not None}

    def to(self, device: torch.device) -> "Likeness":
        """A copy with its networks on a device."""
        perceptual = None if self.perceptual is None else copy.deepcopy(self.perceptual).to(device)
        moved: dict[str, Any] = {name: one.to(device) for name, one in self._identifiers.items()}
        return dataclasses.replace(self, perceptual=perceptual, **moved)

    def check(self, config: LikenessConfig) -> None:
        """Raise `ConfigError` where a distance has a weight and no network."""
        for name, (allowed, fix) in NEEDED.items():
            if config.loss_weights[name] and name not in self.names:
                raise ConfigError(
                    f"{option(f'{name}_weight')} needs a network that is not there.",
                    got=option(**{f"{name}_weight": config.loss_weights[name]}),
                    allowed=f"{allowed}, or weight 0",
                    fix=fix,
                )

    @torch.no_grad()
    def of(self, images: Tensor) -> Target:
        """What the networks see in originals (N, 3, H, W), -1 to 1."""
        seen = imagenet(images)
        features = [] if self.perceptual is None else self.perceptual.stages(seen)
        return Target(images, features, {name: one.embeddings(seen) for name, one in self._identifiers.items()})

    def distances(self, images: Tensor, target: Target) -> dict[str, Tensor]:
        """Distances of images (N, 3, H, W) to their originals, each (N,), with gradients.

        Returns:
            l2: mean squared difference of pixels from -1 to 1; perceptual: `lpips_distance` with LPIPS's network,
            `feature_distance` with a ResNet; reid, moco: 1 - cosine of the embeddings. All but the first only where
            there are their networks.
        """
        found = {"l2": (images - target.images).square().mean(dim=(1, 2, 3))}
        seen = imagenet(images)
        if self.perceptual is not None:
            maps, theirs = self.perceptual.stages(seen), target.features
            heads = list(self.perceptual.heads) if isinstance(self.perceptual, Lpips) else None
            found["perceptual"] = lpips_distance(maps, theirs, heads) if heads else feature_distance(maps, theirs)
        for name, one in self._identifiers.items():
            found[name] = 1 - functional.cosine_similarity(one.embeddings(seen), target.embeddings[name])
        return found

    @torch.no_grad()
    def measure(
        self, pixels: np.ndarray, originals: np.ndarray, device: torch.device, *, batch: int = 16
    ) -> dict[str, np.ndarray]:
        """Distances of finished pixels to their originals, both uint8 (N, H, W, 3): float64 (N,) each."""
        parts = []
        for first in range(0, len(pixels), batch):
            made, real = (as_images(crops[first : first + batch], device) for crops in (pixels, originals))
            parts.append(self.distances(made, self.of(real)))
        return {name: np.concatenate([part[name].double().cpu().numpy() for part in parts]) for name in parts[0]}


def weighted(distances: Mapping[str, Tensor], config: LikenessConfig) -> Tensor:
    """The weighted sum of the distances, (N,)."""
    return torch.stack([weight * distances[name] for name, weight in config.loss_weights.items() if weight]).sum(dim=0)


def imagenet(images: Tensor) -> Tensor:
    """Images from -1 to 1 as networks trained on ImageNet want them."""
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images.float() * 0.5 + 0.5 - mean) / std


def as_images(pixels: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Pixels, uint8 (N, H, W, 3), as images (N, 3, H, W), -1 to 1."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels)) if isinstance(pixels, np.ndarray) else pixels
    return to_tensor(tensor.to(device).permute(0, 3, 1, 2))


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
        network, facts = network.to(chosen(device)), {**facts, **known}
    model = None
    if reid is not None:
        model = load_frozen_reid(reid, device=device)
        facts["reid"] = model.hash
    moco = None
    if config.moco_weight and config.moco_weights is not None:
        moco = load_moco(config.moco_weights).to(chosen(device))
        facts["moco"] = moco.hash
    likeness = Likeness(network, model, moco, facts)
    likeness.check(config)
    return likeness


def _perceptual(config: LikenessConfig) -> tuple[ResNet | Lpips, dict[str, str]]:
    """The network of the perceptual distance, and its name and hashes."""
    backbone, weights = config.perceptual_backbone, config.perceptual_weights
    known = {"perceptual_weights": weights_hash(weights)}
    if backbone == "lpips-alex" or backbone == "lpips-vgg":
        name: LpipsName = "alex" if backbone == "lpips-alex" else "vgg"
        lpips, heads = load_lpips(name, weights=weights, heads=config.perceptual_heads)
        return lpips.eval(), {"perceptual": f"{backbone}, version 0.1", **known, "perceptual_heads": heads}
    resnet = open_resnet(BackboneConfig(backbone=backbone, weights=weights, stride_in=config.perceptual_stride_in))
    return resnet.eval().requires_grad_(False), {"perceptual": f"resnet-perceptual, {backbone}", **known}
