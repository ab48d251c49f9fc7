"""A step of each re-ID recipe beside a bare forward and backward pass of its own network over one fixed batch.

    python benchmarks/reid_recipes.py                                # a CPU: resnet18, 128x64, batch 32, one thread
    python benchmarks/reid_recipes.py --device cuda --backbone resnet50 --size 256 128 --batch 128 --precision bf16

What is over 1 in `loop` is everything but the network: drawing, cropping and erasing the batch, the losses between
crops, the optimiser's step, the centers, the counters. `loop` is what `train_reid` takes longer for N + 1 steps than
for one; the bare pass has cross entropy alone and no optimiser. The last columns say how many images are learned from a
second, how many operations that is (counted by torch on the bare pass, two a multiply-add), and on a GPU which share
of the rate of a large bf16 matrix product in the same run. On a CPU seconds are CPU time, and the sides take turns.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from reid_training import PEOPLE, make_crops
from torch.utils.flop_counter import FlopCounterMode

from reidgen.backbones.reid_model import build_network
from reidgen.config import RECIPES, ReidConfig
from reidgen.reid.train import train_reid

TYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Clock:
    """CPU time of the process, or wall time of a GPU that has nothing left to do."""

    def __init__(self, device):
        self.device = device

    def now(self):
        """Seconds from some beginning."""
        if self.device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()


def bare(config, steps, clock):
    """Seconds of `steps` passes, and the operations of one."""
    network = build_network(config, PEOPLE)
    network.initialise(torch.Generator().manual_seed(0))
    network.to(config.device, memory_format=torch.channels_last).train()
    images = torch.randn(config.batch, 3, *config.size, device=config.device).to(memory_format=torch.channels_last)
    labels = torch.arange(config.batch, device=config.device) % PEOPLE

    def once():
        network.zero_grad(set_to_none=True)
        with torch.autocast(config.device, TYPES[config.precision], enabled=config.precision != "float32"):
            logits = network(images).logits
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()

    with FlopCounterMode(display=False) as counter:
        once()
    began = clock.now()
    for _ in range(steps):
        once()
    return clock.now() - began, counter.get_total_flops()


def loop(table, config, steps, clock, folder):
    """Seconds of `steps` steps of `train_reid`, without what it takes to begin and to end."""
    spent = []
    for count in (1, steps + 1):
        began = clock.now()
        train_reid(table, replace(config, steps=count), out=folder / f"{config.recipe}-{count}-{time.monotonic_ns()}")
        spent.append(clock.now() - began)
    return spent[1] - spent[0]


def matrix_rate(clock):
    """Operations a second of a bf16 product of 8192 x 8192 matrices."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    began = clock.now()
    for _ in range(20):
        a @ b
    return 20 * 2 * 8192**3 / (clock.now() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 64))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", choices=tuple(TYPES), default="float32")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if asked.device == "cpu":
        torch.set_num_threads(1)
    clock = Clock(asked.device)
    common = {name: getattr(asked, name) for name in ("backbone", "batch", "precision", "device")}
    peak = matrix_rate(clock) if asked.device == "cuda" else None
    print(f"{asked.backbone}, {asked.size[0]}x{asked.size[1]}, batch {asked.batch}, {asked.precision}, {asked.device}")
    with tempfile.TemporaryDirectory() as folder:
        table = make_crops(Path(folder) / "crops")
        for recipe in asked.recipes:
            config = ReidConfig(
                recipe=recipe, size=tuple(asked.size), weights="random", validation="none", **common, bottleneck=512
            )
            bare(config, 2, clock)  # warm
            turns = []
            for _ in range(asked.rounds):
                spent, operations = bare(config, asked.steps, clock)
                turns.append((loop(table, config, asked.steps, clock, Path(folder)), spent))
            ours, alone = np.median(turns, axis=0) / asked.steps
            ratios = [a / b for a, b in turns]
            shown = "  ".join(f"{ratio:.3f}" for ratio in ratios)
            line = f"{recipe:8} bare {1000 * alone:7.1f} ms  loop {np.median(ratios):.3f} times (turns {shown})"
            line += f"  {asked.batch / ours:8.1f} images/s  {operations / ours / 1e12:.3f} TFLOP/s"
            print(line + (f", {operations / ours / peak:.1%} of {peak / 1e12:.0f} in bf16" if peak else ""), flush=True)


if __name__ == "__main__":
    main()
