"""Pictures that are nearly one: saved again, resized, or cut a pixel closer."""

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

ROWS, COLUMNS = 16, 9  # of the thumbnail, in which compression and a few pixels of shift are gone
BLOCK = (4, 3)  # rows and columns of it whose means find candidates
RMS = 8.0  # grey levels by which two thumbnails of equal brightness may differ
BITS = 16  # of the 128 of their hashes that may differ
CHUNK = 65_536  # pairs that are compared at once
CONTRAST = 8.0  # standard deviation, in grey levels, below which a picture shows nothing that could be told apart


def thumbnail(image: Image.Image) -> np.ndarray:
    """Means of the picture's pixels in 16 x 9 fields, uint8 (16, 9, 3)."""
    return np.asarray(image.resize((COLUMNS, ROWS), Image.Resampling.BOX))


def near_pairs(thumbnails: np.ndarray) -> np.ndarray:
    """Pairs of thumbnails that are nearly one, int (P, 2), the smaller index first, in order.

    Two are if they differ by at most `RMS` in the root of the mean square, their brightness aside, and in at most
    `BITS` of the difference hash: whether a field is brighter than the one to its left. Measured on CUHK03 in
    docs/log.md. Means over blocks differ by no more than what they are means of, so a tree of them misses no pair.

    Args:
        thumbnails: uint8 (N, 16, 9, 3).
    """
    wide = thumbnails.reshape(len(thumbnails), ROWS * COLUMNS * 3).astype(np.float32)
    wide -= wide.mean(1, keepdims=True)
    plain = np.flatnonzero(wide.std(1) >= CONTRAST)
    if len(plain) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    rows, columns = BLOCK
    blocks = wide[plain].reshape(len(plain), ROWS // rows, rows, COLUMNS // columns, columns, 3).mean((2, 4))
    coarse = blocks.reshape(len(plain), -1)
    found = cKDTree(coarse).query_pairs(RMS * coarse.shape[1] ** 0.5, output_type="ndarray")
    pairs = plain[found[np.lexsort((found[:, 1], found[:, 0]))]]
    bits = hashes(thumbnails)
    parts = [pairs[at : at + CHUNK] for at in range(0, len(pairs), CHUNK)]
    kept = [part[_near(wide, part) & (np.bitwise_count(bits[part[:, 0]] ^ bits[part[:, 1]]).sum(1) <= BITS)]
            for part in parts]  # fmt: skip
    return np.concatenate([*kept, np.zeros((0, 2), dtype=np.int64)])


def hashes(thumbnails: np.ndarray) -> np.ndarray:
    """The difference hash of each, uint8 (N, 16): 128 bits."""
    grey = thumbnails.mean(3, dtype=np.float32)
    return np.packbits((grey[:, :, 1:] > grey[:, :, :-1]).reshape(len(thumbnails), -1), axis=1)


def _near(wide: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return np.sqrt(((wide[pairs[:, 0]] - wide[pairs[:, 1]]) ** 2).mean(1)) <= RMS
