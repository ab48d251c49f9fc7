"""How near the methods come to what the renderer knows of its own crops."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from reidgen.annotate.yaw import wrap


def overlap(found: np.ndarray | None, truth: np.ndarray) -> float:
    """Intersection over union of two masks, bool (H, W); 0 where none was found, 1 where both are empty."""
    if found is None:
        return 0.0
    union = int((found | truth).sum())
    return float((found & truth).sum() / union) if union else 1.0


def point_error(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance in pixels over the points (17, 3) that the truth calls seen; not a number where none is."""
    seen = truth[:, 2] == 2
    return float(np.linalg.norm(found[seen, :2] - truth[seen, :2], axis=1).mean()) if seen.any() else float("nan")


def yaw_error(found: float, truth: float) -> float:
    """Degrees between two yaws, from 0 to 180."""
    return abs(wrap(found - truth))


def measured(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What is told of the errors of each column, one number a checked crop; crops without one are left out.

    Args:
        values: IoU of `mask`, pixels of `keypoints`, degrees of `yaw`.
    """
    known = {name: one[np.isfinite(one)] for name, one in values.items()}
    told: dict[str, Any] = {}
    for name, one in known.items():
        if len(one):
            told[name] = {"crops": len(one), "mean": _rounded(one.mean()), "median": _rounded(np.median(one))}
            if name == "yaw":
                told[name] |= {"within_30": _rounded((one < 30).mean()), "above_90": _rounded((one > 90).mean())}
    return told


def _rounded(value: Any) -> float:
    return round(float(value), 4)
