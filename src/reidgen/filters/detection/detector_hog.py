"""Person detection with OpenCV's histograms of oriented gradients (Dalal & Triggs 2005; extra: detect)."""

from typing import Any

import numpy as np

from reidgen.errors import MissingExtraError, importing

BODY = 96  # height of the person in the detector's window of 128x64, whose border is 16 pixels
MARGIN = 32
SCALE = 1.05
STRIDE = 4
ALL = -1e3  # no window has a margin this low: every one is returned, so that the best is known


class HOGDetector:
    """OpenCV's default people detector; a score is the margin of its support vector machine, of which 0 is the cut.

    The crop is resized to the height of a person in the detector's window, and its edge pixels are repeated around it.
    """

    def __init__(self) -> None:
        self._cv2 = _opencv()
        self._hog = self._cv2.HOGDescriptor()
        self._hog.setSVMDetector(self._cv2.HOGDescriptor.getDefaultPeopleDetector())

    def find(self, crops: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `Detector.find`."""
        return [self._one(crop) for crop in crops]

    def _one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = BODY / crop.shape[0]
        width = max(1, round(crop.shape[1] * scale))
        resized = self._cv2.resize(np.ascontiguousarray(crop), (width, BODY), interpolation=self._cv2.INTER_LINEAR)
        side = max(MARGIN, (64 - width) // 2 + MARGIN)
        edge = self._cv2.BORDER_REPLICATE
        picture = self._cv2.copyMakeBorder(resized[..., ::-1], MARGIN, MARGIN, side, side, edge)
        boxes, margins = self._hog.detectMultiScale(
            picture, hitThreshold=ALL, winStride=(STRIDE, STRIDE), padding=(0, 0), scale=SCALE, groupThreshold=0
        )
        scores = np.asarray(margins, np.float64).reshape(-1)
        places = np.asarray(boxes, np.float64).reshape(-1, 4)
        order = np.lexsort((*places.T, -scores))  # the search runs in threads and returns boxes in any order
        places[:, :2] -= (side, MARGIN)
        return (places / scale)[order], scores[order]


def _opencv() -> Any:
    with importing("opencv-python-headless", extra="detect", purpose="The detector hog", module="cv2"):
        import cv2
    if not hasattr(cv2, "HOGDescriptor"):
        raise MissingExtraError("opencv-python-headless<5", extra="detect", purpose="The detector hog")
    return cv2
