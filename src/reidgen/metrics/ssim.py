"""Structural similarity of image pairs (Wang et al. 2004), as scikit-image computes it by default.

Per pixel and channel, over the 7x7 window around it,

    SSIM = (2 mean_a mean_b + c1) (2 cov_ab + c2) / ((mean_a^2 + mean_b^2 + c1) (var_a + var_b + c2)),

c1 = (0.01 L)^2, c2 = (0.03 L)^2 for the data range L, with sample (n - 1) variances and covariance.
"""

import numpy as np

from reidgen.errors import DataError

WINDOW = 7
_PIXELS = WINDOW * WINDOW


def ssim(a: np.ndarray, b: np.ndarray, data_range: float = 255) -> np.ndarray:
    """Mean structural similarity of each pair of images.

    Equal to scikit-image's `structural_similarity(x, y, channel_axis=2, data_range=data_range)` (uniform 7x7 window,
    sample covariance, mean over channels and over the pixels whose window lies inside) up to the float32 rounding of
    the last step: all window sums are exact integers.

    Args:
        a: uint8 (N, H, W, C), H and W at least 7.
        b: The other image of each pair, of the same shape.
        data_range: L, the span of possible values. 255 is what 8-bit images have. The published filter took 4095, which
            makes c1 and c2 258 times larger and every score higher; its threshold 0.75 belongs to that setting.

    Returns:
        float64 (N,), each in [-1, 1]; 1 only for equal images.

    Raises:
        DataError: The shapes differ, the type is not uint8, or the images are smaller than the window.

    >>> grey = np.full((1, 8, 8, 3), 100, np.uint8)
    >>> ssim(grey, grey).tolist()
    [1.0]
    """
    _check(a, b, data_range)
    height, width, channels = a.shape[1:]
    pairs = _Pairs(height, width, channels, data_range)
    return np.array([pairs.score(x, y) for x, y in zip(a, b, strict=True)], dtype=np.float64)


def _check(a: np.ndarray, b: np.ndarray, data_range: float) -> None:
    if a.dtype != np.uint8 or b.dtype != np.uint8 or a.ndim != 4 or a.shape != b.shape:
        raise DataError(
            "The two stacks of images do not go together.",
            got=f"{a.dtype} {a.shape} and {b.dtype} {b.shape}",
            allowed="uint8 (N, H, W, C) twice, of the same shape",
        )
    if min(a.shape[1:3]) < WINDOW:
        raise DataError(
            "The images are smaller than SSIM's window.",
            got=f"{a.shape[1]}x{a.shape[2]}",
            allowed=f"height and width at least {WINDOW}",
        )
    if not data_range > 0:
        raise DataError("The data range of SSIM must be positive.", got=data_range, allowed="255 for 8-bit images")


class _Pairs:
    """SSIM of one pair after the other, in memory that is taken once and stays in the processor's cache.

    With S, D the window sums of a + b and a - b, and VS, VD = n sum((a +- b)^2) - (sum (a +- b))^2 for n = 49,

        2 mean_a mean_b : mean_a^2 + mean_b^2 = S^2 - D^2 : S^2 + D^2        2 cov : var_a + var_b = VS - VD : VS + VD,

    so SSIM = (1 - 2 p) (1 - 2 q) with p = D^2 / (S^2 + D^2 + c1'), q = VD / (VS + VD + c2'), and the mean of 1 - SSIM
    is exact where the images are nearly equal.
    """

    def __init__(self, height: int, width: int, channels: int, data_range: float) -> None:
        self._size, self._row, self._channels = height * width * channels, width * channels, channels
        both = 2 * self._size
        self._values, self._square, self._spread = (_aligned(both, t) for t in (np.int16, np.float32, np.float32))
        self._small = tuple(_aligned(both, np.int16) for _ in range(2))
        self._wide = tuple(_aligned(both, np.int32) for _ in range(3))
        self._weights = _weights(height, width, channels)
        self._c1 = np.float32(2 * (0.01 * data_range) ** 2 * _PIXELS**2)
        self._c2 = np.float32(2 * (0.03 * data_range) ** 2 * _PIXELS * (_PIXELS - 1))

    def score(self, a: np.ndarray, b: np.ndarray) -> float:
        """SSIM of two images (H, W, C) uint8."""
        size = self._size
        total, difference = self._values[:size], self._values[size:]  # a + b, then a - b
        other = self._small[0][:size]
        total[:], other[:] = a.reshape(-1), b.reshape(-1)
        np.subtract(total, other, out=difference)
        total += other
        square, spread = self._moments()
        windows = square.size - size
        weights = self._weights[:windows]
        p = _share(square[size:], square[:windows], self._c1)
        q = _share(spread[size:], spread[:windows], self._c2)
        singles = float(np.dot(p, weights)) + float(np.dot(q, weights))
        p *= weights
        return 1 - 2 * singles + 4 * float(np.dot(p, q))

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """S^2 and n sum(v^2) - S^2 of each window, S its sum; exact in int32, as 49 * 49 * 510^2 < 2^31.

        The pixels are one flat run in which a window's neighbour is a constant step away. Windows that wrap around an
        edge, or reach from one image into the next, hold rubbish; their weight is 0.
        """
        squares, pairs, sevens = self._wide
        squares[:] = self._values  # to int32, for which numpy has no faster way than a pass of its own
        squares *= squares
        spread = self._window_sums(squares, pairs, sevens)
        sums = self._window_sums(self._values, *self._small)
        square = pairs[: sums.size]
        square[:] = sums
        square *= square
        spread *= _PIXELS
        spread -= square
        self._square[: sums.size], self._spread[: sums.size] = square, spread
        return self._square[: sums.size], self._spread[: sums.size]

    def _window_sums(self, values: np.ndarray, pairs: np.ndarray, sevens: np.ndarray) -> np.ndarray:
        """Sums of 7x7 windows, in the place of the values: first down the columns, then along the rows."""
        return _line_sums(_line_sums(values, self._row, pairs, sevens), self._channels, pairs, values)


def _line_sums(values: np.ndarray, step: int, pairs: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Sums of seven values that lie `step` apart, by doubling: 4 + 2 + 1."""
    count = values.size - (WINDOW - 1) * step
    two, seven = pairs[: values.size - step], out[:count]
    np.add(values[:-step], values[step:], out=two)
    np.add(two[:count], two[2 * step : 2 * step + count], out=seven)
    seven += two[4 * step : 4 * step + count]
    seven += values[6 * step :]
    return seven


def _share(part: np.ndarray, rest: np.ndarray, constant: np.float32) -> np.ndarray:
    """Divide part by (part + rest + constant), in place."""
    rest += constant
    rest += part
    part /= rest
    return part


def _aligned(count: int, kind: type) -> np.ndarray:
    """Memory that begins at a multiple of 64 bytes, the width of a vector and of a cache line."""
    raw = np.empty(count * np.dtype(kind).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * np.dtype(kind).itemsize].view(kind)


def _weights(height: int, width: int, channels: int) -> np.ndarray:
    """float32 (H * W * C,): one over their number for the windows that lie inside, 0 for the others."""
    inside = np.zeros((height, width, channels), np.float32)
    inside[: height - WINDOW + 1, : width - WINDOW + 1] = 1
    return inside.ravel() / inside.sum()
