"""What the trainings of all generators have in common: sums of figures, warnings, snapshots, and how long they are."""

import math
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from reidgen.config import GeneratorConfig
from reidgen.data.pixels.store import CropStore
from reidgen.data.samplers import EpochSampler
from reidgen.engine.devices.device import Fabric, derive_seed, gathered
from reidgen.engine.devices.device import generator as random_generator
from reidgen.engine.loop import Plan, finite
from reidgen.errors import TrainingError, say
from reidgen.generators import sampling
from reidgen.generators.augmentation.ada import randomly_mirrored
from reidgen.generators.pictures.sheets import write_sheet
from reidgen.generators.training import failures
from reidgen.generators.training.diagnosis import advice, diagnose
from reidgen.generators.weights import build_discriminator, build_generator, write_generator
from reidgen.models.stylegan.generator import GeneratorNetwork

FIGURES = ("loss_g", "loss_d", "d_real", "d_fake", "r_t", "grad_norm_g", "grad_norm_d", "spread_fake", "spread_real")
SHOWN = ("kimg", "d_real", "d_fake", "r_t", "ada_p", "r1")  # beside the bar
SHEET_IMAGES, SHEET_COLUMNS = 64, 16
LOG_KIMG, LOG_RECORDS = 1.0, 50  # a log record each so many kimg, but at least so many in a run


class GANTraining:
    """Networks, crops and figures of a generator's training; a subclass has the step.

    Random numbers come from generators seeded by (seed, purpose, step), so there is no random state to keep. All
    processes draw the whole batch and compute their part of it, so that their number does not change what is drawn.

    Attributes:
        generator, discriminator: The networks.
        step: Steps done.
        sums: Sums of `FIGURES` since the last record, over `summed` steps.
        facts: Of the training, for the weight files.
    """

    kind = "gan"  # in the names of its random numbers
    config: GeneratorConfig

    def __init__(self, config: GeneratorConfig, fabric: Fabric, store: CropStore) -> None:
        self.config, self.fabric = config, fabric
        self.store = store.to(fabric.device)
        self.sampler = EpochSampler(len(store), config.batch, seed=config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(f"{self.kind} weights", config.seed))
            self.generator = build_generator(config).to(fabric.device)
            self.discriminator = build_discriminator(config).to(fabric.device)
        self.step, self.summed = 0, 0
        self.sums = torch.zeros(len(FIGURES), dtype=torch.float64, device=fabric.device)
        self.facts: dict[str, Any] = {}
        self._warned = {""}

    @property
    def average(self) -> GeneratorNetwork:
        """What the training is for."""
        return self.generator

    def advance(self) -> None:
        """One step."""
        raise NotImplementedError

    def shown(self) -> dict[str, float]:
        """Figures of the steps since the last record."""
        return {name: value for name, value in self._figures().items() if name in SHOWN}

    def figures(self) -> dict[str, Any]:
        """Means since the last call, the counters, and what looks wrong, which is told once."""
        figures = self._figures()
        self.sums.zero_()
        self.summed = 0
        warning = diagnose(figures, self.config)
        if warning not in self._warned and self.fabric.is_global_zero:
            self._warned.add(warning)
            say(f"warning at {figures['kimg']:g} kimg: {warning}: {advice(warning, self.config)}")
        return {**figures, "warning": warning}

    def finite(self) -> bool:
        """Whether all figures since the last record, the weights and the running statistics are numbers."""
        return finite(self.sums, networks=(self.generator, self.discriminator))

    def diverged(self, folder: Path) -> TrainingError:
        """The error of a training that is not finite."""
        return failures.not_a_number(folder, self.config, kimg=self.step * self.config.batch / 1000)

    def write(self, folder: Path) -> None:
        """A snapshot of the weights, and a sheet of fakes of always the same seeds."""
        name, kimg = snapshot_name(self.step, self.config), self.step * self.config.batch / 1000
        self.write_weights(folder / f"snapshot-{name}.safetensors", kimg=kimg)
        seeds = [derive_seed("sheet", i) for i in range(SHEET_IMAGES)]
        w = sampling.map_seeds(self.average, seeds, psi=1.0, device=self.fabric.device)
        fakes = sampling.synthesize(self.average, self.average.spread(w), seeds, device=self.fabric.device)
        write_sheet(folder / f"fakes-{name}.png", fakes, columns=SHEET_COLUMNS)

    def write_weights(self, path: Path, **facts: Any) -> None:
        """The generator that the training is for and the discriminator, with the facts of the training."""
        state = {"generator": self.average.state_dict(), "discriminator": self.discriminator.state_dict()}
        write_generator(path, cast(Any, state), config=self.config, training={**self.facts, **facts})

    def _figures(self) -> dict[str, float]:
        means = (self.sums / max(self.summed, 1)).tolist()
        counters = {"step": self.step, "kimg": self.step * self.config.batch / 1000}
        return {**counters, **dict(zip(FIGURES, means, strict=True))}

    def _count(self, *means: Tensor, fakes: Tensor, reals: Tensor) -> None:
        """Add the figures of a step: its means, and how much its own fakes and all its real crops vary."""
        small = gathered(self.fabric, _small(fakes))
        self.sums += torch.stack([*means, _spread(small), spread(reals)]).detach().double()
        self.summed += 1
        self.step += 1

    def _random(self, purpose: str) -> torch.Generator:
        return random_generator(self.kind, self.config.seed, purpose, self.step)

    def _reals(self) -> Tensor:
        images = sampling.to_tensor(self.store.batch(self.sampler.indices(self.step)))
        return randomly_mirrored(images, self._random("mirror")) if self.config.mirror else images


@torch.no_grad()
def spread(images: Tensor) -> Tensor:
    """How much the images (N, C, H, W) differ from one another: mean over pixels of the deviation over the batch."""
    return _spread(_small(images))


def _small(images: Tensor) -> Tensor:
    return nn.functional.adaptive_avg_pool2d(images.detach(), (8, 4))


def _spread(small: Tensor) -> Tensor:
    return small.std(dim=0, correction=0).mean()


def plan_of(config: GeneratorConfig) -> Plan:
    """How long a generator's training is, and when it logs, writes and saves."""
    steps = total_steps(config)
    return Plan(
        label="train generator (images)",
        steps=steps,
        log_steps=(max(min(steps_of(LOG_KIMG, config), steps // LOG_RECORDS), 1),),
        write_steps=(steps_of(config.snapshot_kimg, config),),
        images=config.batch,
        checkpoint_sec=config.checkpoint_sec,
    )


def total_steps(config: GeneratorConfig) -> int:
    """Steps of the whole training."""
    return math.ceil(config.kimg * 1000 / config.batch)


def steps_of(kimg: float, config: GeneratorConfig) -> int:
    """Steps in which `kimg` thousand images are shown, at least one."""
    return max(round(kimg * 1000 / config.batch), 1)


def snapshot_name(step: int, config: GeneratorConfig) -> str:
    """The thousands of images after a step in six digits, and with decimals if two of the run would be named alike.

    Names of a run sort by time.
    """
    steps, apart = total_steps(config), steps_of(config.snapshot_kimg, config)
    before = (steps - 1) // apart * apart  # the last snapshot but one
    short = min(steps, apart) * config.batch < 1000 or _whole_kimg(before, config) == _whole_kimg(steps, config)
    return f"{step * config.batch / 1000:010.3f}" if short else f"{_whole_kimg(step, config):06d}"


def rename_snapshots(folder: Path, config: GeneratorConfig) -> None:
    """Give snapshots from before the run was made longer the names that they have in a run of this length."""
    apart = steps_of(config.snapshot_kimg, config)
    for path in [*folder.glob("snapshot-*.safetensors"), *folder.glob("fakes-*.png")]:
        kind, kimg = path.stem.split("-")
        step = max(round(float(kimg) * 1000 / config.batch / apart), 1) * apart
        rounding = 0.001 if "." in kimg else 0.5
        if abs(step * config.batch / 1000 - float(kimg)) <= rounding:  # others are the end of a run as it was meant
            path.rename(path.with_stem(f"{kind}-{snapshot_name(step, config)}"))


def _whole_kimg(step: int, config: GeneratorConfig) -> int:
    return (step * config.batch + 500) // 1000
