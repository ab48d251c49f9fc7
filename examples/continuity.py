"""Which remedy closes the continuity split of model 4: a place that differs left and right of the person?

    python examples/continuity.py --data runs/rendered --out runs/continuity --source 4 --target 1

The thesis names this fault of its own model (Kolbeinsson 2019, section 6.1). For each seed a translator is trained
without a remedy and with each, and moves every train crop of the source. Measured are

- split: the difference of mean colour (0 to 255) left and right of the person, over the rows of pixels that have a
  place on both sides, then over the crops;
- wide: the share of crops whose split is wider than that of 19 in 20 real crops of the target;
- person: the mean error (0 to 255) on the person, against the crop that it was made of.

Give the same command again to go on. The table is results.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tyro
from PIL import Image

import reidgen as rg

REMEDIES: dict[str, dict[str, Any]] = {
    "model 4 as it is": {},
    "--gap inpainted": {"gap": "inpainted"},
    "--mask-blur 2": {"mask_blur": 2.0},
    "--gan-weight 5": {"gan_weight": 5.0},
}
FIGURES = ("split", "wide", "person")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared.

    Attributes:
        data: Table with masks, as written by reidgen.
        out: Folder of all runs.
        source: Camera whose people are moved.
        target: Camera that they are moved to.
        size: Of the crops, (height, width).
        steps: Length of each training.
        batch: Crops a step.
        width: Channels of the largest maps.
        seeds: A translator without a remedy and with each, for each.
    """

    data: Path
    out: Path
    source: int
    target: int
    size: tuple[int, int] = (64, 32)
    steps: int = 500
    batch: int = 8
    width: int = 32
    seeds: tuple[int, ...] = (0, 1, 2)


def main(plan: Plan) -> None:
    """Train, translate and measure what is missing, and write the table."""
    table = rg.ReidTable.read(plan.data)
    real = [split_of(*opened(row, plan)) for row in rows_of(table, plan.target).values()]
    wide = float(np.nanpercentile(real, 95))
    lines = [f"| | {' | '.join(FIGURES)} |", "|---" * (1 + len(FIGURES)) + "|"]
    lines.append(f"| real crops of camera {plan.target} | {np.nanmean(real):.1f} | 5.0 % | |")
    for name, remedy in REMEDIES.items():
        found = [measured(plan, table, wide, seed, remedy) for seed in plan.seeds]
        cells = [rg.Spread(tuple(one[figure] for one in found)).percent(1) for figure in FIGURES]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} % | {cells[2]} |")
        text = "\n".join(lines) + "\n"
        (plan.out / "results.md").write_text(text, encoding="utf-8")
    print(text)


def measured(plan: Plan, table: rg.ReidTable, wide: float, seed: int, remedy: dict[str, Any]) -> dict[str, float]:
    """The figures of one translator; colours as shares of 100, which is how a Spread prints them."""
    name = "-".join(map(str, ("background", *(part for pair in remedy.items() for part in pair), seed)))
    config = rg.TranslatorConfig(
        preset="background",
        source=plan.source,
        target=plan.target,
        size=plan.size,
        steps=plan.steps,
        batch=plan.batch,
        width=plan.width,
        seed=seed,
        **remedy,
    )
    translator = rg.train_translator(table, config, out=plan.out / name)
    made = rg.translate(translator, table, source=plan.source, target=plan.target, out=plan.out / f"{name}-crops")
    parents = rows_of(table, plan.source)
    splits, errors = [], []
    for row in made.rows.iter_rows(named=True):
        before, person = opened(parents[row["parent"]], plan)
        after = picture(Path(row["root"]) / row["file_name"], "RGB", plan)
        splits.append(split_of(after, person))
        errors.append(np.abs(after - before)[person].mean())
    over = np.array(splits)[~np.isnan(splits)]
    return {"split": over.mean() / 100, "wide": (over > wide).mean(), "person": float(np.mean(errors)) / 100}


def split_of(pixels: np.ndarray, person: np.ndarray) -> float:
    """How much the place differs left and right of the person, 0 to 255; NaN where no row has a place on both sides.

    Args:
        pixels: (H, W, 3).
        person: bool (H, W).
    """
    off = []
    for row in np.flatnonzero(person.any(axis=1)):
        (columns,) = np.nonzero(person[row])
        left, right = pixels[row, : columns[0]], pixels[row, columns[-1] + 1 :]
        if len(left) and len(right):
            off.append(np.abs(left.mean(axis=0) - right.mean(axis=0)).mean())
    return float(np.mean(off)) if off else float("nan")


def rows_of(table: rg.ReidTable, camera: int) -> dict[str, dict[str, Any]]:
    """The train crops of a camera that have a mask, by their file names."""
    rows = table.train.rows.filter((pl.col("camid") == camera) & pl.col("mask").is_not_null())
    return {row["file_name"]: row for row in rows.iter_rows(named=True)}


def opened(row: dict[str, Any], plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """A crop (H, W, 3), and where its person is, bool (H, W)."""
    root = Path(row["root"])
    return picture(root / row["file_name"], "RGB", plan), picture(root / row["mask"], "L", plan) >= 128


def picture(path: Path, mode: str, plan: Plan) -> np.ndarray:
    """An image of the plan's size, float64."""
    with Image.open(path) as image:
        return np.asarray(image.convert(mode).resize(plan.size[::-1]), dtype=float)


if __name__ == "__main__":
    main(tyro.cli(Plan, description=__doc__))
