"""COCO's 17 key points of the person in a crop, by MoveNet with the shipped weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from reidgen.annotate.squares import place
from reidgen.engine.foreign.state_dicts import read_weights
from reidgen.engine.opening import check_numbers
from reidgen.models.detector.movenet import POINTS, SIDE, MoveNet

WEIGHTS = Path(__file__).parents[1] / "assets" / "pose" / "movenet.safetensors"
SHARE = 1.0  # of the square that a crop takes: 3.3 pixels of error, where shares of .9 and .75 have 3.7 and 3.9
BATCH = 8
SEEN, HIDDEN, OUTSIDE = 2, 1, 0  # as the renderer's column has them


class KeypointFinder:
    """MoveNet on a device.

    Args:
        device: Where it computes.

    Raises:
        WeightsError: The shipped file is damaged.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        tensors, _ = read_weights(WEIGHTS)
        state = {name: value.float() for name, value in tensors.items()}
        check_numbers(state, WEIGHTS)
        with torch.device("meta"):
            self.network = MoveNet()
        self.network.load_state_dict(state, assign=True)
        self.network.to(device).eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def find(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Crops uint8 (H, W, 3), of any sizes, to points float64 (N, 17, 3): x and y in pixels of the crop, score.

        Coordinates are rounded to hundredths of a pixel, scores to thousandths, so that another batch seldom shows.
        """
        out = np.empty((len(crops), POINTS, 3))
        for start in range(0, len(crops), BATCH):
            placed = [place(crop, side=SIDE, share=SHARE) for crop in crops[start : start + BATCH]]
            squares = torch.stack([one.square for one in placed])
            squares = squares.to(self.device).contiguous(memory_format=torch.channels_last)  # a third less on CPUs
            found = self.network(squares).double().cpu().numpy()
            for i, (one, points) in enumerate(zip(placed, found, strict=True)):
                out[start + i, :, :2] = one.back(points[:, :2]).round(2)
                out[start + i, :, 2] = points[:, 2].round(3)
        return out


def as_column(points: np.ndarray, size: tuple[int, int], *, visible_score: float) -> list[float]:
    """Points (17, 3) with scores as the column `keypoints` has them: x, y, and 2 seen, 1 hidden, 0 outside.

    Args:
        points: As `KeypointFinder.find` gives them.
        size: (height, width) of the crop.
        visible_score: From which a point counts as seen.
    """
    inside = ((points[:, :2] >= 0) & (points[:, :2] <= [size[1], size[0]])).all(1)
    seen = np.where(points[:, 2] >= visible_score, SEEN, HIDDEN)
    marked = np.column_stack([points[:, :2], np.where(inside, seen, OUTSIDE)])
    return [float(value) for value in marked.ravel()]
