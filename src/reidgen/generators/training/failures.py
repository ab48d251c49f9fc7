"""What a training says when it cannot go on: a loss that is not a number, or memory that ran out."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from reidgen.config import DCGANConfig, GeneratorConfig, StyleGANConfig, as_dict
from reidgen.engine.devices.machine import memory_bytes
from reidgen.engine.runs.run import read_run
from reidgen.errors import RunError, TrainingError, option
from reidgen.generators.training.estimate import Estimate

SPARE = 0.9  # of the memory that is there: what a proposed batch may take


def not_a_number(folder: Path, config: GeneratorConfig, *, kimg: float) -> TrainingError:
    """The error of a training whose losses or weights are not numbers any more."""
    lower = _lower(config)
    snapshots = sorted(folder.glob("snapshot-*.safetensors"))
    return TrainingError(
        f"The training in {folder} diverged: a loss or a weight is not a number after {kimg:g} kimg.",
        got=", ".join(option(**{name: value}) for name, (value, _) in lower.items())
        + f", {option(precision=config.precision)}",
        allowed=f"the last good snapshot is {snapshots[-1]}" if snapshots else "there is no snapshot yet",
        fix=f"another {option('out')} with "
        + " ".join(option(**{name: changed}) for name, (_, changed) in lower.items()),
    )


def _lower(config: GeneratorConfig) -> dict[str, tuple[float, float]]:
    """Options that calm a training: their values, and better ones."""
    if not isinstance(config, StyleGANConfig):
        return {"lr": (config.lr, _calmer(config.lr, DCGANConfig.lr))}
    usual_gamma = replace(config, gamma=None).r1_gamma
    return {
        "gamma": (config.r1_gamma, max(2 * config.r1_gamma, usual_gamma)),
        "lr_generator": (config.lr_generator, _calmer(config.lr_generator, StyleGANConfig.lr_generator)),
        "lr_discriminator": (
            config.lr_discriminator,
            _calmer(config.lr_discriminator, StyleGANConfig.lr_discriminator),
        ),
    }


def _calmer(rate: float, usual: float) -> float:
    """Half the learning rate, or the usual one where that is lower still."""
    return min(rate / 2, usual)


def longer_than_done(folder: Path, config: GeneratorConfig) -> RunError | None:
    """The error of a finished training that is asked to be longer, whose checkpoint is gone; None for any other."""
    try:
        record = read_run(folder)
    except RunError:
        return None
    before = record["config"]
    asked = {name: value for name, value in json.loads(json.dumps(as_dict(config))).items() if name in before}
    if (
        record["stage"] != "train-generator"
        or {**before, "kimg": config.kimg} != asked
        or config.kimg <= before["kimg"]
    ):
        return None
    more = config.kimg - before["kimg"]
    again = f"{option(transfer=folder)} {option(kimg=more)}"
    restart = f"another {option('out')} with {again}, which goes on from both networks with new optimisers"
    return RunError(
        f"The training in {folder} is finished, and a finished one keeps no optimisers to go on with.",
        got=f"{option(kimg=config.kimg)}, done with {before['kimg']:g}",
        allowed=f"a larger {option('kimg')} while a training is not finished",
        fix=restart
        if isinstance(config, StyleGANConfig)
        else f"another {option('out')} with {option(kimg=config.kimg)}",
    )


def out_of_memory(config: GeneratorConfig, cost: Estimate | None, device: torch.device) -> tuple[str, str]:
    """What a training that ran out of memory asked for, and the parts, or the batch, that should fit.

    Args:
        config: Of the training.
        cost: What was measured at its start; None if that had no room either.
        device: Where it ran.
    """
    parts = config.accumulate if isinstance(config, StyleGANConfig) else 1
    tried, there = config.batch // max(parts, config.processes), _memory(device)
    fitting = None if cost is None else images_that_fit(config.batch, tried, cost, there)
    needs = "" if cost is None else f", which needs more than {cost.bytes_of(tried) / 2**30:.2g} GiB"
    asked = [option(batch=config.batch), *([option(accumulate=parts)] if parts > 1 else [])]
    got = f"{' '.join(asked)}{needs}; "
    return f"{got}{there / 2**30:.3g} GiB are there", _smaller(config, fitting)


def _smaller(config: GeneratorConfig, images: int | None) -> str:
    if images is None:
        narrower = (
            option("width")
            if not isinstance(config, StyleGANConfig)
            else f"{option('channel_base')} or {option('channel_max')}"
        )
        return f"another {option('out')} with a smaller {narrower}: not even two images fit"
    if isinstance(config, StyleGANConfig):
        return (
            f"the same command with {option(accumulate=config.batch // images)}, which computes {images} images "
            f"at a time, or another {option('out')} with {option(batch=images)}"
        )
    return f"another {option('out')} with {option(batch=images)}"


def images_that_fit(batch: int, tried: int, cost: Estimate, there: float) -> int | None:
    """The largest part of a batch that should fit where `tried` images did not; None if not even two do.

    Args:
        batch: Images a step; the part divides it.
        tried: Images that were computed at once.
        cost: What images cost, short-lived buffers left out; so what `tried` images cost was too much in any case.
        there: Bytes of the device.
    """
    bound = SPARE * min(there, cost.bytes_of(tried))
    smaller = [images for images in range(tried - 1, 1, -1) if batch % images == 0]
    return next((images for images in smaller if cost.bytes_of(images) <= bound), None)


def _memory(device: torch.device) -> float:
    """Bytes that this process may use: of a GPU what is free and what it holds, of the machine all."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return memory_bytes()
