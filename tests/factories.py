"""Small tables and crops that tests of every room share: `from tests.factories import make_table, write_crop`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reidgen.data.table import FOLDERS, ReidTable


def crop_pixels(size: tuple[int, int] = (32, 16), *, seed: int = 0) -> np.ndarray:
    """A smooth coloured picture, uint8 (H, W, 3); another seed is another picture, also after JPEG."""
    height, width = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    rates, phases, base = rng.uniform(2, 12, (3, 2)), rng.uniform(0, 6, 3), rng.uniform(60, 196, 3)
    waves = np.sin(y[..., None] * rates[:, 0] + x[..., None] * rates[:, 1] + phases)
    return np.clip(base + 50 * waves, 0, 255).astype(np.uint8)


def write_crop(
    path: Path | str, *, size: tuple[int, int] = (32, 16), seed: int = 0, quality: int = 90, mode: str = "RGB"
) -> Path:
    """Write a tiny picture; the ending of the path chooses the format. Returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(crop_pixels(size, seed=seed)).convert(mode)
    image.save(path, **({"quality": quality} if path.suffix.lower() in (".jpg", ".jpeg") else {}))
    return path


def write_masks(folder: Path, crops: Path) -> Path:
    """A mask for each crop of a tree, by its name: a person in the middle. Returns the folder."""
    for path in crops.rglob("*.jpg"):
        with Image.open(path) as crop:
            mask = np.zeros((crop.height, crop.width), np.uint8)
        mask[mask.shape[0] // 8 :, mask.shape[1] // 4 : -mask.shape[1] // 4] = 255
        to = folder / path.relative_to(crops).with_suffix(".png")
        to.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(to)
    return folder


def make_table(
    pids: Sequence[int],
    camids: Sequence[int] | None = None,
    *,
    splits: str | Sequence[str] = "train",
    root: Path | str | None = None,
    size: tuple[int, int] = (32, 16),
    name: str = "made",
    **columns: Sequence[Any],
) -> ReidTable:
    """A table with the given people and cameras, in Market-1501's layout.

    Args:
        pids: Person of each row.
        camids: Camera of each row; None takes 1, 2, 1, 2, ...
        splits: One split for all rows, or one of each.
        root: Folder to write a picture of its own for each row in; None writes none.
        size: (height, width) of the pictures.
        name: The table's name.
        columns: Further columns, such as origin=[...].
    """
    count = len(pids)
    camids = [1 + i % 2 for i in range(count)] if camids is None else camids
    splits = [splits] * count if isinstance(splits, str) else splits
    rows = []
    for i, (pid, camid, split) in enumerate(zip(pids, camids, splits, strict=True)):
        person = f"{pid:04d}" if pid >= 0 else str(pid)
        file_name = f"{FOLDERS[split]}/{person}_c{camid}s1_{i:06d}_00.jpg"
        rows.append(
            {
                "file_name": file_name,
                "pid": pid,
                "camid": camid,
                "split": split,
                "frame": i,
                **{key: values[i] for key, values in columns.items()},
            }
        )
        if root is not None:
            write_crop(Path(root) / file_name, size=size, seed=i)
    return ReidTable.from_rows(rows, root="nowhere" if root is None else root, name=name)
