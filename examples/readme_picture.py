"""Draw the README's picture from the folders of a quick start: rendered | generated | rejected people.

python examples/readme_picture.py --quickstart quickstart --out docs/images/strip.png
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import tyro

import reidgen as rg

ROWS, GAP = 2, 4
COLUMNS = {"rendered": 6, "generated, kept": 8, "rejected": 4}


def main(quickstart: Path, out: Path, seed: int = 0) -> None:
    """Write one PNG with the three kinds of crops side by side."""
    people = rg.ReidTable.read(quickstart / "people").train
    judged = rg.ReidTable.read(quickstart / "filtered")
    rejected = judged.where(pl.col("rejected_by").is_not_null())
    tables = dict(zip(COLUMNS, (people, judged.kept, rejected), strict=True))
    sheets = [
        sheet(table, ROWS, columns, seed) for table, columns in zip(tables.values(), COLUMNS.values(), strict=True)
    ]
    mpl.rcParams["font.size"] = 13
    widths = [image.shape[1] for image in sheets]
    figure, axes = plt.subplots(1, len(sheets), width_ratios=widths, figsize=(13, 3.6), layout="constrained")
    for axis, image, title in zip(axes, sheets, tables, strict=True):
        axis.imshow(image)
        axis.set_title(title)
        axis.axis("off")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110, bbox_inches="tight")


def sheet(table: rg.ReidTable, rows: int, columns: int, seed: int) -> np.ndarray:
    """Crops of different people, drawn at random, as one white-framed image, uint8 (H, W, 3)."""
    firsts = table.rows.sample(fraction=1, shuffle=True, seed=seed).unique("pid", keep="first", maintain_order=True)
    chosen = rg.ReidTable(firsts.head(rows * columns), table.name)
    crops = rg.CropStore.open(chosen, size=(128, 64)).images
    framed = np.pad(crops, ((0, rows * columns - len(crops)), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)
    height, width = framed.shape[1:3]
    return framed.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
