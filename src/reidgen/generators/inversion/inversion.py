"""Inversion by search: a w+ optimised for one crop, and the generator tuned around it."""

import copy
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidgen.config import SearchConfig
from reidgen.data.samplers import EpochSampler
from reidgen.engine.devices.device import generator as random_generator
from reidgen.engine.progress import progress
from reidgen.errors import TrainingError, option
from reidgen.generators import sampling
from reidgen.generators.inversion.encoder import NOISE_SEED, fixed_noise
from reidgen.generators.inversion.likeness import Likeness, as_images, weighted
from reidgen.generators.trained import TrainedGenerator
from reidgen.generators.weights import write_generator
from reidgen.losses.images.noise_maps import make_standard, noise_correlation
from reidgen.models.stylegan.generator import GeneratorNetwork

SPREAD_SAMPLES = 10_000
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps
NOISE, NOISE_UNTIL = 0.05, 0.75


def spread_of_w(gan: TrainedGenerator) -> float:
    """Root of the mean squared distance of w to its mean, from 10,000 w (Karras et al. 2020, CVPR, appendix D)."""
    z = torch.randn(SPREAD_SAMPLES, gan.network.z_dim, generator=random_generator("spread of w"))
    w = sampling.map_latents(gan.network, z, psi=1.0, device=gan.device)
    mean = gan.network.mapping.w_avg.float().cpu()
    return (w - mean).square().sum(dim=1).mean().sqrt().item()


def step_size(step: int, config: SearchConfig) -> float:
    """The search's learning rate: up in a line over the first 5 % of the steps, down by a cosine over the last 25 %.

    Karras et al. 2020 (CVPR), appendix D.
    """
    share = step / config.search_steps
    down = 0.5 - 0.5 * math.cos(math.pi * min((1 - share) / RAMP_DOWN, 1))
    return config.search_lr * down * min(share / RAMP_UP, 1)


def noise_size(step: int, steps: int, spread: float) -> float:
    """Deviation of the noise on w: 0.05 times the spread of w, falling by a square to 0 at 75 % of the steps.

    Karras et al. 2020 (CVPR), appendix D.
    """
    return NOISE * spread * max(1 - step / steps / NOISE_UNTIL, 0) ** 2


def search(
    gan: TrainedGenerator,
    pixels: np.ndarray,
    *,
    likeness: Likeness,
    config: SearchConfig,
    keys: Sequence[str],
    start: Tensor | None = None,
) -> Tensor:
    """The w+ of crops by optimisation, (N, num_ws, w_dim) on the CPU.

    Karras et al. 2020 (CVPR), appendix D, in w+ instead of w, by the likeness instead of LPIPS, and with the noise of
    the layers held fixed. The crops share a batch and nothing else: each has its own random numbers, by its key, and
    what it comes to differs by float rounding from what it comes to alone.

    Args:
        gan: The generator, which stays as it is.
        pixels: uint8 (N, H, W, 3) of the generator's size.
        likeness: What is minimised, with the weights of `config`.
        config: Steps and learning rate.
        keys: A name for each crop.
        start: (N, num_ws, w_dim); None starts all at the mean of w.

    Raises:
        TrainingError: The loss stopped being a number.
    """
    return _search(gan, pixels, likeness, config, keys, start, free=[])


def search_with_noise(
    gan: TrainedGenerator,
    pixels: np.ndarray,
    *,
    likeness: Likeness,
    config: SearchConfig,
    keys: Sequence[str],
    start: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """As `search`, and the noise maps of the layers move as well, kept noise by `noise_correlation`.

    Karras et al. 2020 (CVPR), appendix D: the penalty has the weight 1e5, and after each step each map is brought back
    to mean 0 and variance 1. Details of the crop that no w+ can say then go into the maps.

    Returns:
        The w+ (N, num_ws, w_dim), and the maps, one (N, H, W) a layer, all on the CPU.
    """
    free = [field.clone().requires_grad_() for field in fixed_noise(gan.network, len(pixels), gan.device)]
    ws = _search(gan, pixels, likeness, config, keys, start, free=free)
    return ws, [field.detach().float().cpu() for field in free]


def _search(
    gan: TrainedGenerator,
    pixels: np.ndarray,
    likeness: Likeness,
    config: SearchConfig,
    keys: Sequence[str],
    start: Tensor | None,
    *,
    free: list[Tensor],
) -> Tensor:
    """The w+; `free` are noise maps that move, in place; without any the noise is that of reconstructions."""
    device, count = gan.device, len(pixels)
    mean = gan.network.mapping.w_avg.detach().float()
    begin = gan.network.spread(mean.expand(count, -1)) if start is None else start.to(device)
    ws = begin.clone().contiguous().requires_grad_()
    optimiser = torch.optim.Adam([ws, *free], lr=config.search_lr)
    draws = [random_generator("search", key) for key in keys]
    noise, spread = free or fixed_noise(gan.network, count, device), spread_of_w(gan)
    target = likeness.of(as_images(pixels, device))
    with progress("optimise w+ (steps)", config.search_steps) as bar:
        for step in range(config.search_steps):
            optimiser.param_groups[0]["lr"] = step_size(step, config)
            jitter = torch.stack([torch.randn(ws.shape[1:], generator=draw) for draw in draws]).to(device)
            seen = ws + noise_size(step, config.search_steps, spread) * jitter
            losses = weighted(likeness.distances(gan.network.synthesis(seen, noise), target), config)
            if free:
                losses = losses + config.noise_weight * noise_correlation(free)
            optimiser.zero_grad(set_to_none=True)
            losses.sum().backward()
            optimiser.step()
            make_standard(free)
            bar.advance()
    found = ws.detach().float().cpu()
    for key, one in zip(keys, found, strict=True):
        if not torch.isfinite(one).all():
            raise TrainingError(
                f"The search for the w+ of {key} diverged.",
                got=option(search_lr=config.search_lr),
                fix=f"another {option('out')} with {option(search_lr=config.search_lr / 3)}",
            )
    return found


def tune(
    gan: TrainedGenerator,
    pixels: np.ndarray,
    ws: Tensor,
    *,
    likeness: Likeness,
    config: SearchConfig,
    noise: Sequence[Tensor] | None = None,
    batch: int | None = None,
) -> GeneratorNetwork:
    """The generator tuned so that it makes these crops of these w+ (Roich et al. 2021, section 3.2).

    Only the synthesis moves; the mapping and the mean of w stay, so w+ of the untuned generator keep their places.

    Args:
        gan: The generator to start from, which stays as it is.
        pixels: The crops of one person, or of several, uint8 (N, H, W, 3).
        ws: Their pivots, (N, num_ws, w_dim).
        likeness: What is minimised, with the weights of `config`.
        config: Steps, learning rate, and when to stop early.
        noise: The maps of these pivots, (N, H, W) a layer; None: the noise of reconstructions.
        batch: Crops a step where there are more, in random orders; None: all.

    Raises:
        TrainingError: The loss stopped being a number.
    """
    network = copy.deepcopy(gan.network).eval()
    assert isinstance(network.synthesis, torch.nn.Module)
    parameters = list(network.synthesis.requires_grad_(True).parameters())
    optimiser = torch.optim.Adam(parameters, lr=config.tune_lr)
    maps = [field.cpu() for field in fixed_noise(network, len(pixels), gan.device)] if noise is None else noise
    sampler = EpochSampler(len(pixels), min(batch or len(pixels), len(pixels)))
    for step in range(config.tune_steps):
        if step == 0 or sampler.batch < len(pixels):
            rows = np.arange(len(pixels)) if sampler.batch == len(pixels) else sampler.indices(step)
            target = likeness.of(as_images(pixels[rows], gan.device))
            pivots, fields = ws[rows].to(gan.device), [field[rows].to(gan.device) for field in maps]
        found = likeness.distances(network.synthesis(pivots, fields), target)
        if config.tune_stop is not None and found["perceptual"].mean() <= config.tune_stop:
            break
        optimiser.zero_grad(set_to_none=True)
        weighted(found, config).mean().backward()
        optimiser.step()
    if not all(bool(torch.isfinite(parameter).all()) for parameter in parameters):
        raise TrainingError(
            "The pivotal tuning of the generator diverged.",
            got=option(tune_lr=config.tune_lr),
            fix=f"another {option('out')} with {option(tune_lr=config.tune_lr / 3)}",
        )
    return network.requires_grad_(False)


def write_tuned(path: Path, network: GeneratorNetwork, gan: TrainedGenerator, facts: dict[str, Any]) -> None:
    """Write a tuned generator as a whole file, which `load_generator` opens, with facts of its tuning."""
    config = dataclasses.replace(gan.config, save_dtype="float32")
    training = {**gan.training, "pivotal_tuning": facts}
    write_generator(path, {"generator": network.state_dict()}, config=config, training=training)


def reconstruct(
    network: GeneratorNetwork, ws: Tensor, device: torch.device, *, noise: Sequence[Tensor] | None = None
) -> np.ndarray:
    """The images of w+, uint8 (N, H, W, 3); `noise` has maps (N, H, W) a layer, None is that of reconstructions."""
    if noise is None:
        return sampling.synthesize(network, ws, [NOISE_SEED] * len(ws), device=device)
    made = []
    with torch.inference_mode():
        for rows in torch.arange(len(ws)).split(sampling.pass_size(network)):
            fields = [field[rows].to(device) for field in noise]
            made.append(sampling.to_pixels(network.synthesis(ws[rows].to(device), fields)))
    return np.concatenate(made)
