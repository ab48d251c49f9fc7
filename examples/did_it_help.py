"""Did generated people help on my crops? The whole comparison on any table, resumable, for a CPU or a GPU.

    python examples/did_it_help.py --data runs/cuhk03 --out runs/help --scale cpu
    python examples/did_it_help.py --data runs/cuhk03 --out runs/help --scale gpu --weights resnet50.safetensors

For each number of generated people and each seed one re-ID network is trained, all with the same number of optimisation
steps, and evaluated on the real query and gallery. One page is written for each number of people. A run that is stopped
goes on where it was: give the same command again.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
import tyro

import reidgen as rg


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared.

    Attributes:
        data: Table with train, query and gallery, as written by reidgen.
        out: Folder of all runs.
        scale: "cpu": 64x32 crops, ResNet-18 from random weights, generator from the shipped one; "gpu": the recipe
            "ide" at 256x128 with a generator at 128x64.
        people: Numbers of generated people; 0 is the baseline.
        variants: Crops of each.
        seeds: Trainings of each number.
        kimg: Length of the generator's training; None takes the scale's.
        steps: Optimisation steps of each re-ID training; None takes the scale's.
        weights: Re-ID weights to start from; None takes the scale's.
        stride_in: Layout of those weights.
        backbone: Re-ID network of scale "cpu".
        real_people: Only the first N people of the train split are used, also by the generator: few labelled crops.
    """

    data: Path
    out: Path
    scale: Literal["cpu", "gpu"] = "cpu"
    people: tuple[int, ...] = (0, 100, 300)
    variants: int = 8
    seeds: int = 3
    kimg: float | None = None
    steps: int | None = None
    weights: str | None = None
    stride_in: Literal["3x3", "1x1"] = "3x3"
    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    real_people: int | None = None

    def generator(self) -> rg.StyleGANConfig:
        """The generator's training."""
        if self.scale == "gpu":
            return rg.StyleGANConfig(
                size=(128, 64), kimg=self.kimg or 1000, batch=32, precision="bf16", snapshot_kimg=100
            )
        start = rg.StyleGANConfig(
            transfer=str(rg.SHIPPED_GENERATOR), kimg=self.kimg or 60, batch=16, gamma=0.05, snapshot_kimg=20
        )
        return rg.with_shape_of(rg.SHIPPED_GENERATOR, start)

    def reid(self, seed: int) -> rg.ReidConfig:
        """One re-ID training."""
        if self.scale == "gpu":
            large = rg.ReidConfig(
                weights=self.weights or "imagenet", stride_in=self.stride_in, precision="bf16", seed=seed
            )
            return dataclasses.replace(large, steps=self.steps or 13_800)
        small = rg.ReidConfig(backbone=self.backbone, size=(64, 32), augment=rg.AugmentConfig(pad=4), seed=seed)
        small = dataclasses.replace(small, last_stride=1, bottleneck=128, steps=self.steps or 600)
        if self.weights is None:
            return dataclasses.replace(small, weights="random", backbone_lr=1.0)
        return dataclasses.replace(small, weights=self.weights, stride_in=self.stride_in)

    def real(self) -> rg.ReidTable:
        """The real crops."""
        table = rg.ReidTable.read(self.data)
        if self.real_people is None:
            return table
        people = sorted(set(table.train.pids.tolist()))[: self.real_people]
        return table.where(pl.col("pid").is_in(people) | (pl.col("split") != "train"))


def main(plan: Plan) -> None:
    """Train the generator once, then every re-ID network, and write the pages."""
    real = plan.real()
    gan = rg.train_generator(real, plan.generator(), out=plan.out / "generator")
    fakes = rg.generate_people(gan, people=max(plan.people), variants=plan.variants, out=plan.out / "generated")
    kept = rg.run_filters(fakes, rg.FilterConfig(calibrate=True), reference=real.train, out=plan.out / "filtered")
    baseline: list[Path] = []
    for people in sorted({0, *plan.people}):
        more = plan.out / f"extended-{people}"
        table = rg.extend(real, kept, people=people, out=more) if people else real
        results = [train_and_evaluate(plan, table, real, people, seed) for seed in range(plan.seeds)]
        if not people:
            baseline = results
            continue
        shown = [plan.out / "generator", plan.out / "generated", plan.out / "filtered", more]
        trainings = [plan.out / f"reid-{n}-{seed}" for n in (0, people) for seed in range(plan.seeds)]
        page = plan.out / f"page-{people}"
        print(rg.write_report(baseline=baseline, extended=results, runs=[*shown, *trainings], out=page))


def train_and_evaluate(plan: Plan, table: rg.ReidTable, real: rg.ReidTable, people: int, seed: int) -> Path:
    """One network, evaluated on the real test crops; returns the evaluation's folder."""
    model = rg.train_reid(table, plan.reid(seed), out=plan.out / f"reid-{people}-{seed}")
    folder = plan.out / f"result-{people}-{seed}"
    result = rg.evaluate_reid(model, real, rg.EvaluateConfig(seed=seed), out=folder)
    print(f"{people} generated people, seed {seed}: mAP {result.mAP:.2%}, rank-1 {result.rank1:.2%}", flush=True)
    return folder


if __name__ == "__main__":
    main(tyro.cli(Plan, description=__doc__))
