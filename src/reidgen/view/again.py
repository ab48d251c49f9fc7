"""Making a crop again with the weights that are given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reidgen.config import Device
from reidgen.data.pixels.images import read_rgb
from reidgen.engine.checkpoint import load_weights
from reidgen.generators.crops import encode
from reidgen.generators.trained import load_generator
from reidgen.generators.translation import translator
from reidgen.generators.views import trained_rotator
from reidgen.regenerate import Maker, regenerate
from reidgen.view.relatives import Relatives, operation_of

LOADERS: dict[str, tuple[str, Any]] = {  # kind in the file -> file of the folder, what opens it
    translator.KIND: (translator.FILE, translator.load_translators),
    trained_rotator.KIND: (trained_rotator.FILE, trained_rotator.load_rotator),
}


def load_makers(paths: Sequence[Path], *, device: Device) -> list[Maker]:
    """Open generators, translators and rotators: run folders, or their weight files.

    Raises:
        WeightsError: One is missing, damaged, or of another network.
    """
    opened: list[Maker] = []
    for path in paths:
        found = _loader(path)(path, device=device)
        opened += found if isinstance(found, list) else [found]
    return opened


def _loader(path: Path) -> Any:
    if path.is_dir():
        found = [load for file, load in LOADERS.values() if (path / file).is_file() or any(path.glob(f"*/{file}"))]
        return found[0] if found else load_generator
    return LOADERS.get(str(load_weights(path)[1].get("kind")), ("", load_generator))[1]


def made_again(relatives: Relatives, row: int, makers: Sequence[Maker]) -> tuple[np.ndarray, bool, int]:
    """A crop's pixels as they were before JPEG, uint8 (H, W, 3); whether they make the very file; how far they are.

    The last is the largest difference from the file's pixels, 0 to 255, of which JPEG has its share.

    Raises:
        WeightsError: The weights that made it are not given.
        DataError: The row does not say how the crop was made, or what it was made from has changed.
        MissingExtraError: A rendered crop, without the extra `render`.
    """
    shown, parent = relatives.shown, int(relatives.parents[row])
    sources = None if parent < 0 else shown.crops.where(shown.table == shown.table[parent])
    pixels = regenerate(shown.crops, row, weights=makers, sources=sources)
    own = np.asarray(read_rgb(shown.path(row), size=(pixels.shape[0], pixels.shape[1])))
    quality = getattr(operation_of(shown, row), "quality", None)  # rendered crops do not say theirs
    same = quality is not None and encode(pixels, quality=quality) == shown.path(row).read_bytes()
    return pixels, same, int(np.abs(pixels.astype(int) - own).max())
