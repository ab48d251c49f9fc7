"""SSIM of 128x64 RGB pairs: reidgen.metrics.ssim against the plain way, one uniform filter per channel and moment.

python benchmarks/ssim.py        # pip install scikit-image to have its structural_similarity in the table as well
"""

import importlib.util
import time
from collections.abc import Callable

import numpy as np
from scipy.ndimage import uniform_filter

from reidgen.metrics import ssim

PAIRS, SHAPE, ROUNDS = 64, (128, 64, 3), 10


def pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (PAIRS, *SHAPE))
    b = np.clip(a + rng.normal(0, 40, a.shape), 0, 255)
    return a.astype(np.uint8), b.astype(np.uint8)


def plain(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([np.mean([plain_channel(x[..., c], y[..., c]) for c in range(3)]) for x, y in zip(a, b)])  # noqa: B905


def plain_channel(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(float), y.astype(float)
    c1, c2, sample = (0.01 * 255) ** 2, (0.03 * 255) ** 2, 49 / 48
    ux, uy, uxx, uyy, uxy = (uniform_filter(v, 7) for v in (x, y, x * x, y * y, x * y))
    vx, vy, vxy = sample * (uxx - ux * ux), sample * (uyy - uy * uy), sample * (uxy - ux * uy)
    values = (2 * ux * uy + c1) * (2 * vxy + c2) / ((ux * ux + uy * uy + c1) * (vx + vy + c2))
    return float(values[3:-3, 3:-3].mean())


def scikit_image(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    from skimage.metrics import structural_similarity

    return np.array([structural_similarity(x, y, channel_axis=2, data_range=255) for x, y in zip(a, b, strict=True)])


def milliseconds(function: Callable[..., np.ndarray], *arguments: np.ndarray) -> float:
    """Best of a few rounds, processor time per pair: other work on the machine does not count."""
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        function(*arguments)
        spent.append(time.process_time() - began)
    return min(spent) / PAIRS * 1e3


def main() -> None:
    a, b = pairs()
    references = {"uniform_filter": plain}
    if importlib.util.find_spec("skimage"):
        references["scikit-image"] = scikit_image
    ours, scores = milliseconds(ssim, a, b), ssim(a, b)
    print(f"reidgen.metrics.ssim: {ours:.3f} ms a pair of {SHAPE[0]}x{SHAPE[1]} RGB")
    for name, reference in references.items():
        theirs, worst = milliseconds(reference, a, b), np.abs(reference(a, b) - scores).max()
        print(f"{name}: {theirs:.3f} ms, {theirs / ours:.1f} times ours; largest difference {worst:.1e}")


if __name__ == "__main__":
    main()
