"""What the thesis published of their sweeps, to stand beside ours: facts, in published.csv."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

FACTS = Path(__file__).with_name("published.csv")
TABLES = {"people": "5.10", "crops_per_person": "5.11"}
WHERE = {
    "5.10": "Alvarez-Gonzalez, thesis, table 5.10 (the same in Alvarez-Gonzalez et al., GANs for data augmentation in "
    "person re-identification, table 2)",
    "5.11": "Alvarez-Gonzalez, thesis, table 5.11 (the same in Alvarez-Gonzalez et al., GANs for data augmentation in "
    "person re-identification, table 3)",
}
# Thesis, tables 5.5 and 5.9: crops before, then method, crops discarded and the percentage as printed.
DISCARDED: tuple[tuple[str, int, tuple[tuple[str, int, str], ...]], ...] = (
    (
        "5.5, new people",
        20_451,
        (("YOLOv4-tiny", 3_419, "16.7"), ("SSIM", 396, "2.3"), ("total", 3_815, "18.6")),
    ),
    (
        "5.9, variants of real people",
        75_788,
        (("YOLOv4-tiny", 12_129, "16.0"), ("SSIM", 1_108, "1.46"), ("total", 13_237, "17.46")),
    ),
)
WHY_NOT = (
    "Not comparable in height, only in shape: Market-1501, ResNet-50 at 256x128; a single run in each row, without a "
    "spread; 60 epochs of batch 16 each, so that more crops are also more optimisation steps; mAP by trapezoid; a "
    "generator that was trained on all of Market-1501, test people included."
)


@cache
def _facts() -> pl.DataFrame:
    return pl.read_csv(FACTS, schema_overrides={"table": pl.String})


Published = tuple[str, dict[int, dict[str, Any]]]


def published(axis: str) -> Published | None:
    """The source in words, and value of the axis -> row with generated_images, rank1, rank5, rank10 and mAP as shares.

    Its mAP is the one by trapezoid. None for an axis that the thesis did not vary.
    """
    if axis not in TABLES:
        return None
    rows = _facts().filter(pl.col("table") == TABLES[axis]).iter_rows(named=True)
    return WHERE[TABLES[axis]], {row[axis]: row for row in rows}


def gains(
    rows: dict[int, dict[str, Any]], figure: str, *, reference: Any, places: dict[Any, float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Where the thesis's points are drawn, and what each has more than its own reference, in points.

    Args:
        rows: As `published`.
        figure: Its column.
        reference: The value that ours is compared with; the result is empty where the thesis does not have it.
        places: Value of our axis -> place on the horizontal. Where these are the numbers themselves, all points between
            our smallest and largest are drawn; otherwise those whose value is on our axis.
    """
    if reference not in rows:
        return [], []
    numbers = all(value == place for value, place in places.items())
    low, high = min(places.values()), max(places.values())
    at = {value: float(value) if numbers else places.get(value) for value in rows}
    shown = [(x, rows[value]) for value, x in at.items() if x is not None and low <= x <= high]
    return [x for x, _ in shown], [100 * (row[figure] - rows[reference][figure]) for _, row in shown]
