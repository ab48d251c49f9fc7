"""What a training's step will cost, told before it starts: parameters, multiply-adds, memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reidgen.config import GeneratorConfig, StyleGANConfig
from reidgen.errors import option
from reidgen.losses.gan.gradient_penalty import r1_penalty
from reidgen.models.stylegan.generator import GeneratorNetwork

FEW, MORE = 2, 4  # images of the passes that are measured
COPIES = 4  # of each trained number: itself, gradient, two moments of Adam; the average is counted beside


class Networks(Protocol):
    """A training, as far as its costs go."""

    @property
    def generator(self) -> GeneratorNetwork:
        """The network that is trained."""

    @property
    def discriminator(self) -> nn.Module:
        """Its opponent."""

    @property
    def config(self) -> GeneratorConfig:
        """What was asked for."""


@dataclass(frozen=True)
class Estimate:
    """Costs of a training.

    Attributes:
        parameters: Of the generator and of the discriminator.
        macs: Multiply-adds an image of one forward pass of each, filters included.
        fixed_bytes: Memory that does not depend on the batch: weights, gradients, moments, average.
        image_bytes: Memory of each further image in a part of a batch: what the backward passes need.
    """

    parameters: tuple[int, int]
    macs: tuple[float, float]
    fixed_bytes: float
    image_bytes: float

    def bytes_of(self, images: int) -> float:
        """About the memory of a step whose parts have so many images, short-lived buffers left out."""
        return self.fixed_bytes + self.image_bytes * images

    def line(self, config: GeneratorConfig) -> str:
        """One line for people."""
        parts = getattr(config, "accumulate", 1)
        memory = self.bytes_of(config.batch // parts) / 2**30
        batch = f"batch {config.batch}" + (f" in {parts} parts" if parts > 1 else "")
        return (
            f"generator: {_millions(self.parameters[0])} parameters, {self.macs[0] / 1e9:.3g} GMAC an image; "
            f"discriminator: {_millions(self.parameters[1])}, {self.macs[1] / 1e9:.3g} GMAC; "
            f"about {memory:.2g} GiB of weights and of what the backward passes of {batch} need"
        )


def gamma_line(config: StyleGANConfig) -> str:
    """One line on the R1 weight: its value, where it comes from, what else to try."""
    source = "as asked" if config.gamma is not None else config.gamma_rule
    penalties = "R1" if config.loss == "logistic" else "R1 and R2"
    return (
        f"{penalties} weight: {option(gamma=float(f'{config.r1_gamma:.3g}'))}, {source}; "
        f"worth trying: {config.r1_gamma / 4:.3g} to {config.r1_gamma * 10:.3g}"
    )


def estimate(training: Networks) -> Estimate:
    """Measure forward passes of a few images; the networks stay as they are."""
    networks = (training.generator, training.discriminator)
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()  # so that running statistics stay
    try:
        counts = tuple(sum(p.numel() for p in network.parameters()) for network in networks)
        few, more = (_passes(training, images) for images in (FEW, MORE))
    finally:
        for network, mode in zip(networks, modes, strict=True):
            network.train(mode)
    image_bytes = (more.saved - few.saved) / (MORE - FEW)
    shared = max(few.saved - FEW * image_bytes, 0)  # weights in the form in which a layer uses them
    fixed = 4 * (COPIES * sum(counts) + counts[0]) + shared
    return Estimate((counts[0], counts[1]), few.macs, fixed, image_bytes)


@dataclass(frozen=True)
class _Passes:
    macs: tuple[float, float]
    saved: float


def _passes(training: Networks, count: int) -> _Passes:
    """Multiply-adds an image, and the bytes that a step with `count` images keeps for its backward passes."""
    device = next(training.generator.parameters()).device
    z = (
        torch.zeros(count, training.generator.z_dim, device=device)
        + torch.linspace(1, 2, count, device=device)[:, None]
    )
    g_counter, d_counter = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with g_counter, _kept() as by_generator:
        fakes = training.generator(z)
    images = fakes.detach().requires_grad_()
    with d_counter, _kept() as by_discriminator:
        training.discriminator(images)
    saved = _bytes(by_generator) + 2 * _bytes(by_discriminator)  # fakes and reals
    if isinstance(training.config, StyleGANConfig):
        with _kept() as by_penalty:
            r1_penalty(training.discriminator(images), images)
        saved = max(saved, _bytes(by_penalty))
    macs = (g_counter.get_total_flops() / 2 / count, d_counter.get_total_flops() / 2 / count)
    return _Passes(macs, saved)


@contextmanager
def _kept() -> Iterator[dict[int, Tensor]]:
    """Collects one tensor of each memory block that autograd keeps for its backward passes, but no parameters."""
    blocks: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            blocks[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield blocks


def _bytes(blocks: dict[int, Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in blocks.values())


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g} M"
