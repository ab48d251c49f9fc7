r"""Training steps of StyleGAN2, StyleGAN3-T and -R: seconds per thousand images, memory, and the share of the machine.

    python benchmarks/training.py                                       # on a GPU: the published widths, bfloat16
    python benchmarks/training.py --sizes 64x32 --channel-base 1024 --channel-max 64 --batch 8 --steps 1 \
        --precision float32                                             # on a CPU: small ones

A round is 16 steps, so that the lazy R1 has its share, after two steps that are not counted. The share is that of the
rate of a large matrix product in the same number format in the same run; counted are the multiply-adds of 3 passes of
the generator, 7 of the discriminator and a sixteenth of R1's 6, filters included. NVIDIA's published figures for
128x128 on one A100 with its CUDA kernels in float16 are 6.8 (StyleGAN2), 27.2 (T) and 34.2 (R) seconds per kimg.
"""

import time
from dataclasses import dataclass
from typing import Literal

import torch
import tyro

from reidgen.config import Precision, StyleGANConfig
from reidgen.config.generators import Network
from reidgen.data.pixels.store import CropStore
from reidgen.engine.devices.device import setup
from reidgen.generators.training.estimate import estimate
from reidgen.generators.training.style import HALF, StyleGANTraining

WARM_STEPS = 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is timed.

    Attributes:
        networks: Generators.
        sizes: Image sizes, as HEIGHTxWIDTH.
        channel_base: Of all networks; None takes 16384 for StyleGAN2 and 32768 for StyleGAN3, as published.
        channel_max: Of all networks.
        batch: Images a step.
        steps: Steps of a round.
        precision: Number format of the four highest resolutions.
        compile: Whether the networks go through torch.compile first.
    """

    networks: tuple[Network, ...] = ("stylegan2", "stylegan3-t", "stylegan3-r")
    sizes: tuple[str, ...] = ("128x64", "128x128", "256x128")
    channel_base: int | None = None
    channel_max: int = 512
    batch: int = 32
    steps: int = 16
    precision: Precision = "bf16"
    compile: Literal["no", "yes"] = "no"


def main(plan: Plan) -> None:
    """One line a network and size."""
    fabric = setup()
    rate = matrix_rate(fabric.device, HALF[plan.precision] or torch.float32)
    name = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else "CPU"
    print(f"{name}, matrix product in {plan.precision}: {rate / 1e9:,.0f} GMAC/s", flush=True)
    for network in plan.networks:
        for size in plan.sizes:
            height, width = map(int, size.split("x"))
            base = plan.channel_base or (16384 if network == "stylegan2" else 32768)
            mixing = 0.9 if network == "stylegan2" else 0.0
            config = StyleGANConfig(
                network=network,
                size=(height, width),
                channel_base=base,
                channel_max=plan.channel_max,
                batch=plan.batch,
                precision=plan.precision,
                style_mixing=mixing,
            )
            print(f"{network} {size}: {timed(config, plan, rate)}", flush=True)


def timed(config: StyleGANConfig, plan: Plan, rate: float) -> str:
    """Seconds per kimg, GPU memory and share of one training."""
    fabric = setup()
    crops = torch.randint(0, 256, (4 * config.batch, *config.size, 3), dtype=torch.uint8)
    training = StyleGANTraining(config, fabric, CropStore(crops.numpy()), ramp=True)
    training.ada_p = 0.5
    g, d = estimate(training).macs
    if plan.compile == "yes":
        training.generator.compile()
        training.discriminator.compile()
    cuda = fabric.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(WARM_STEPS):
        training.advance()
    began_sec = clock(cuda)
    for _ in range(plan.steps):
        training.advance()
    image_sec = (clock(cuda) - began_sec) / plan.steps / config.batch
    step_macs = 3 * g + 7 * d + 6 / config.penalty_interval * d
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if cuda else "memory not measured"
    share = step_macs / image_sec / rate
    return (
        f"{image_sec * 1000:.2f} s/kimg, {memory}, {step_macs / 1e9:.1f} GMAC an image, {100 * share:.1f} % of the rate"
    )


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Multiply-adds a second of a square matrix product."""
    side, cuda = (8192, True) if device.type == "cuda" else (1024, False)
    a = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        began_sec = clock(cuda)
        a @ a
        best = min(best, clock(cuda) - began_sec)
    return side**3 / best


def clock(cuda: bool) -> float:
    """Seconds; waits until the GPU is done."""
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main(tyro.cli(Plan, description=__doc__))
