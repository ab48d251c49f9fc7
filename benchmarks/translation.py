r"""Translators beside bare passes of their networks: a training step, and translating a table.

    python benchmarks/translation.py                    # pix2pix at 128x64 as published, batch 1 and 16
    python benchmarks/translation.py --width 16         # small

CPU time, so that other work on the machine counts little. The step is beside the same passes on fixed tensors: forward
of the U-Net; forward and backward of the discriminator on a real and a made crop; forward of the discriminator on the
made crop again, backward through both networks. Neither reads crops, nor moves weights: the optimisers are told apart.
Translating is beside forward passes on fixed tensors, of the size that translating uses.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from reidgen.config.generators.translation import TranslateConfig, TranslatorConfig
from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import setup
from reidgen.generators.sampling import PASS
from reidgen.generators.translation.domain_crops import open_crops
from reidgen.generators.translation.paired import PairedTraining
from reidgen.generators.translation.translate import translate
from reidgen.generators.translation.translator import FILE, load_translator, write_translator
from reidgen.losses.gan.adversarial import discriminator_loss, generator_loss
from reidgen.losses.images.reconstruction import absolute_error

WARM, TURNS = 2, 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is timed.

    Attributes:
        width: Channels of the first maps.
        batches: Crops a step.
        steps: Steps of a turn.
        crops: Crops that are translated.
    """

    width: int = 64
    batches: tuple[int, ...] = (1, 16)
    steps: int = 4
    crops: int = 256


def main(plan: Plan) -> None:
    """Prints a line for each batch, and one for translating."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        table = made_table(Path(folder), plan.crops)
        for batch in plan.batches:
            step_beside_passes(table, plan, batch)
        table_beside_passes(table, plan, Path(folder))


def step_beside_passes(table: ReidTable, plan: Plan, batch: int) -> None:
    """A training step, its passes, and its two optimisers."""
    config = TranslatorConfig(
        preset="pix2pix", source=1, target=2, width=plan.width, batch=batch, steps=1000, device="cpu"
    )
    training = PairedTraining(config, setup("cpu"), open_crops(table, config.size, masks=False))
    passes = bare_passes(training, batch)
    moves = [optimiser.step for optimiser in training.optimisers.values()]
    step, bare, move = medians([training.advance, passes, lambda: [one() for one in moves]], plan.steps)
    print(
        f"pix2pix 128x64, width {plan.width}, batch {batch}: step {step * 1e3:.0f} ms, passes {bare * 1e3:.0f} ms, "
        f"optimisers {move * 1e3:.0f} ms: {step / bare:.2f} times the passes, {step / (bare + move):.2f} with these",
        flush=True,
    )


def bare_passes(training: PairedTraining, batch: int) -> Callable[[], None]:
    """Forward and backward on fixed tensors."""
    generator, discriminator = training.networks["generator"], training.networks["discriminator"]
    x, y = torch.randn(2, batch, 3, *training.config.size)
    noise = training.noise(batch, torch.Generator())
    of_generator, of_discriminator = training.parameters["generator"], training.parameters["discriminator"]

    def passes() -> None:
        made = generator(x, noise)
        real, fake = discriminator(torch.cat([x, y], 1)), discriminator(torch.cat([x, made.detach()], 1))
        for parameter in (*of_generator, *of_discriminator):
            parameter.grad = None
        discriminator_loss(real, fake).backward(inputs=of_discriminator)
        loss = generator_loss(discriminator(torch.cat([x, made], 1))) + 100 * absolute_error(made, y)
        loss.backward(inputs=of_generator)

    return passes


def table_beside_passes(table: ReidTable, plan: Plan, folder: Path) -> None:
    """Translating all crops of camera 1, files written, beside forward passes alone."""
    config = TranslatorConfig(preset="pix2pix", source=1, target=2, width=plan.width, device="cpu")
    training = PairedTraining(config, setup("cpu"), open_crops(table, config.size, masks=False))
    write_translator(folder / FILE, training.networks, config=config, cameras=[1, 2], training={})
    translator = load_translator(folder / FILE, device="cpu")
    network, x = translator.networks["generator"], torch.randn(PASS, 3, *config.size)
    noise = training.noise(PASS, torch.Generator())
    count = len(table) // 2
    turn = iter(range(100))

    def whole() -> None:
        translate(translator, table, TranslateConfig(), out=folder / f"out{next(turn)}")

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(-(-count // PASS)):
                network(x, noise)

    ours, theirs = medians([whole, bare], 1)
    print(f"translate {count} crops: {ours:.2f} s, passes {theirs:.2f} s: {ours / theirs:.2f} times", flush=True)


def medians(jobs: list[Callable[[], object]], count: int) -> list[float]:
    """CPU seconds a call of each job, by turns: medians."""
    for job in jobs:
        for _ in range(WARM if count > 1 else 1):
            job()
    turns: list[list[float]] = [[] for _ in jobs]
    for _ in range(TURNS):
        for taken, job in zip(turns, jobs, strict=True):
            began = time.process_time()
            for _ in range(count):
                job()
            taken.append((time.process_time() - began) / count)
    return [float(np.median(taken)) for taken in turns]


def made_table(folder: Path, count: int) -> ReidTable:
    """Crops of noise of two cameras, `count` of each."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(2 * count):
        name = f"bounding_box_train/{1 + i // 8:04d}_c{1 + i % 2}s1_{i:06d}_00.jpg"
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (128, 64, 3), np.uint8)).save(folder / name)
        rows.append({"file_name": name, "pid": 1 + i // 8, "camid": 1 + i % 2, "split": "train"})
    return ReidTable.from_rows(rows, root=folder)


if __name__ == "__main__":
    main(tyro.cli(Plan))
