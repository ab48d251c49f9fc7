"""Boxes in images: how much two overlap, and which of many that overlap are kept."""

import numpy as np


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box with each of several.

    Args:
        box: (4,): left, top, width, height.
        boxes: (N, 4).

    Returns:
        float64 (N,), 0 where both boxes are empty.
    """
    start = np.maximum(box[:2], boxes[:, :2])
    end = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    common = np.clip(end - start, 0, None).prod(axis=1).astype(np.float64)
    union = box[2:].prod() + boxes[:, 2:].prod(axis=1) - common
    return np.divide(common, union, out=np.zeros(len(boxes)), where=union > 0)


def suppress(boxes: np.ndarray, scores: np.ndarray, highest_overlap: float) -> np.ndarray:
    """Greedy non-maximum suppression: the best box is kept, those that overlap it more than allowed go, and so on.

    Args:
        boxes: (N, 4): left, top, width, height.
        scores: (N,); equal scores are taken in the given order.
        highest_overlap: Intersection over union up to which two boxes are both kept.

    Returns:
        int64: row numbers of the kept boxes, best first.
    """
    left = np.argsort(-scores, kind="stable")
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[overlaps(boxes[best], boxes[left]) <= highest_overlap]
    return np.array(kept, dtype=np.int64)
