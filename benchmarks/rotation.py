r"""Rotators beside bare passes of their networks: a training step, and turning a table.

    python benchmarks/rotation.py                                          # ResNet-50, 128x64, batch 8
    python benchmarks/rotation.py --backbone resnet18 --size 64 32 --width 16 --batch 4

CPU time, so that other work on the machine counts little. The step is beside the same passes on fixed tensors: of
crops, made crops, turned ones and partners, forward and backward, then the discriminator's. Neither reads crops, nor
moves weights or the memory. Turning is beside forward passes on fixed tensors, of the size that turning uses.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from translation import made_table, medians

from reidgen.config.generators.views import RotateConfig, RotatorConfig
from reidgen.engine.devices.device import setup
from reidgen.generators.sampling import PASS
from reidgen.generators.views.rotate import rotate
from reidgen.generators.views.structures import PLANES
from reidgen.generators.views.trained_rotator import FILE, load_rotator, write_rotator
from reidgen.generators.views.views_training import RotatorTraining, ViewCrops, angles_of
from reidgen.losses.gan.least_squares import least_squares_discriminator_loss, least_squares_generator_loss
from reidgen.losses.images.reconstruction import absolute_error


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is timed.

    Attributes:
        backbone: Of the identity encoder.
        size: (height, width).
        width: Channels at full size.
        batch: Crops a step.
        steps: Steps of a turn.
        crops: Crops that are turned.
    """

    backbone: Literal["resnet18", "resnet50"] = "resnet50"
    size: tuple[int, int] = (128, 64)
    width: int = 32
    batch: int = 8
    steps: int = 2
    crops: int = 64


def main(plan: Plan) -> None:
    """Prints a line for the training, and one for turning."""
    torch.set_num_threads(1)
    config = RotatorConfig(
        structure="grey", backbone=plan.backbone, weights="random", size=plan.size, width=plan.width, batch=plan.batch,
        angles=(180,), device="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = made_table(folder, plan.crops)
        table = table.where(table.rows["camid"] == 1)
        table = type(table)(table.rows.with_columns(yaw=0.0))
        training = RotatorTraining(config, setup("cpu"), ViewCrops.open(table, config, angles_of(config)))
        step, bare = medians([training.advance, bare_passes(training)], plan.steps)
        what = f"{plan.backbone}, {plan.size[0]}x{plan.size[1]}, width {plan.width}"
        times = f"step {step:.2f} s, passes {bare:.2f} s: {step / bare:.2f} times"
        print(f"{what}, batch {plan.batch}: {times}", flush=True)
        write_rotator(folder / FILE, training.rotator, config=config, training={})
        rotator, turn = load_rotator(folder / FILE, device="cpu"), iter(range(100))

        def whole() -> None:
            rotate(rotator, table, RotateConfig(angles=(180,)), out=folder / f"out{next(turn)}")

        ours, theirs = medians([whole, bare_turning(rotator.network, config, plan.crops)], 1)
        print(f"turn {plan.crops} crops: {ours:.2f} s, passes {theirs:.2f} s: {ours / theirs:.2f} times", flush=True)


def bare_passes(training: RotatorTraining) -> Callable[[], None]:
    """Forward and backward of a step on fixed tensors."""
    config, networks = training.config, training.networks
    rotator, judge = training.rotator, networks["discriminator"]
    crops, partners = torch.rand(2, config.batch, 3, *config.size) * 2 - 1
    own, other = torch.rand(2, config.batch, PLANES[config.structure], *config.size) * 2 - 1

    def passes() -> None:
        networks.train()
        features, codes = rotator.identity(crops)
        made, turned = rotator(codes.repeat(2, 1, 1), torch.cat([own, other])).chunk(2)
        again, codes_again = rotator.identity(turned)
        back, same = rotator(codes_again, own), rotator(rotator.identity(partners)[1], own)
        errors = [absolute_error(one, crops) for one in (made, back, same)]
        known = absolute_error(codes_again, codes.detach()) + features.square().mean() + again.square().mean()
        gan = [least_squares_generator_loss(one) for one in judge(turned)]
        for parameter in networks.parameters():
            parameter.grad = None
        (sum(errors) + known + torch.stack(gan).mean()).backward(inputs=training.parameters["rotator"])
        pairs = zip(judge(crops), judge(turned.detach()), strict=True)
        loss = torch.stack([least_squares_discriminator_loss(*pair) for pair in pairs]).mean()
        loss.backward(inputs=training.parameters["discriminator"])

    return passes


def bare_turning(network: torch.nn.Module, config: RotatorConfig, count: int) -> Callable[[], None]:
    """Forward passes over so many crops on fixed tensors."""
    crops = torch.rand(PASS, 3, *config.size) * 2 - 1
    structures = torch.rand(PASS, PLANES[config.structure], *config.size) * 2 - 1

    def passes() -> None:
        with torch.inference_mode():
            for _ in range(-(-count // PASS)):
                network(network.identity(crops)[1], structures)

    return passes


if __name__ == "__main__":
    main(tyro.cli(Plan))
