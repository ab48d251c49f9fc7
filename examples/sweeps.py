"""The sweeps of Alvarez-Gonzalez's thesis on any table: people, crops of each real person, fewer real people.

    python examples/sweeps.py --data runs/cuhk03 --people runs/kept --out runs/sweeps --scale cpu
    python examples/sweeps.py --data runs/cuhk03 --people runs/kept --variants runs/judged --out runs/sweeps --scale gpu

`--people` is a table of generated people (reidgen generate people, then filter), `--variants` one of generated crops of
the real people (reidgen generate variants, then filter --filters identity); without it the sweep of crops is left out.
A run that is stopped goes on where it was: give the same command again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

import reidgen as rg

Name = Literal["people", "crops", "share"]
# In place of the places of the presets that have the same name; the GPU takes the thesis's own.
CPU_AXES: dict[Name, tuple[str, ...]] = {"people": ("people=0,25,50,100",), "crops": ("crops=0,5,20",), "share": ()}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is swept.

    Attributes:
        data: Table with train, query and gallery, as written by reidgen.
        people: Table of generated people.
        out: Folder of all sweeps and pages.
        variants: Table of generated crops of the real people; None leaves out the sweep of crops.
        scale: "cpu": 64x32 crops, ResNet-18, few places; "gpu": the thesis's recipe and all its places.
        only: Sweeps to run.
        axis: In place of the sweep's axis of that name, such as people=0,50 with --only people.
        seeds: Trainings of each place.
        steps: Optimisation steps of each training; None takes the scale's.
        weights: Weights to start from; None takes the scale's: random, or ImageNet's.
        workers: Trainings at once; None: one for each GPU, or for each four CPU cores.
        threads: CPU threads of each; None shares the cores.
    """

    data: Path
    people: Path
    out: Path
    variants: Path | None = None
    scale: Literal["cpu", "gpu"] = "cpu"
    only: tuple[Name, ...] = ("people", "crops", "share")
    axis: str | None = None
    seeds: int = 3
    steps: int | None = None
    weights: str | None = None
    workers: int | None = None
    threads: int | None = None

    def reid(self) -> rg.ReidConfig:
        """The trainings of all sweeps."""
        if self.scale == "gpu":
            return rg.ReidConfig(
                recipe="thesis", weights=self.weights or "imagenet", precision="bf16", steps=self.steps
            )
        return rg.ReidConfig(
            backbone="resnet18",
            size=(64, 32),
            bottleneck=128,
            last_stride=1,
            backbone_lr=1.0,
            augment=rg.AugmentConfig(pad=4),
            weights=self.weights or "random",
            steps=self.steps or 600,
            device="cpu",
        )

    def config(self, name: Name) -> rg.SweepConfig:
        """One sweep."""
        axes = CPU_AXES[name] if self.scale == "cpu" else ()
        if self.axis is not None:
            axes = (self.axis,)
        return rg.SweepConfig(
            preset=name, axis=axes, seeds=self.seeds, reid=self.reid(), workers=self.workers, threads=self.threads
        )


def main(plan: Plan) -> None:
    """Run the sweeps one after the other, and write a page of each."""
    for name in plan.only:
        generated = plan.variants if name == "crops" else plan.people
        if generated is None:
            print("crops: left out, as there are no --variants")
            continue
        folder = plan.out / name
        print(rg.sweep(plan.data, plan.config(name), generated=generated, out=folder))
        title = rg.ReportConfig(title=f"Sweep: {name}")
        print(rg.write_sweep_report(title, sweep=folder, out=plan.out / f"page-{name}"))


if __name__ == "__main__":
    main(tyro.cli(Plan, description=__doc__))
