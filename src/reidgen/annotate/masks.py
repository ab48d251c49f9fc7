"""Where masks come from beside the model: a folder of files, or a function of the user's."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from reidgen.data.pixels.images import ENDINGS, read_rgb
from reidgen.data.pixels.maps import check_sizes
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, option
from reidgen.files import Crops, file_sha256, link_or_copy, sha256, write_bytes

# A crop uint8 (H, W, 3) to its mask (H, W): booleans, or numbers above 0 on the person; None where there is nobody.
MaskFunction = Callable[[np.ndarray], np.ndarray | None]


class MaskFolder:
    """Masks of a folder and those below it, by the names of the crops without their endings.

    `bounding_box_train/0001_c1s1_000001_00.png` is the mask of `bounding_box_train/0001_c1s1_000001_00.jpg`; where only
    one file has the name, its folder does not count.

    Args:
        path: The folder.

    Attributes:
        all: Its pictures.

    Raises:
        DataError: It is not there.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise DataError(
                f"There is no folder of masks {path}.",
                got="no such folder",
                allowed="mediapipe, or a folder with a mask for each crop",
                fix=option(masks="mediapipe"),
            )
        files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in ENDINGS and file.is_file()]
        self.path = path
        self._whole = {file.relative_to(path).with_suffix("").as_posix(): file for file in files}
        self.all = files
        times = Counter(file.stem for file in files)
        self._alone = {file.stem: file for file in files if times[file.stem] == 1}

    def file(self, crop: str) -> Path | None:
        """The mask of a crop by its `file_name`."""
        name = Path(crop).with_suffix("")
        return self._whole.get(name.as_posix(), self._alone.get(name.name))

    def check(self, table: ReidTable) -> None:
        """Raise `DataError` unless each crop of a table has a mask, of its size."""
        found = [self.file(name) for name in table.rows["file_name"]]
        missing = [name for name, file in zip(table.rows["file_name"], found, strict=True) if file is None]
        if missing:
            more = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            raise DataError(
                f"{self.path} has no mask for {missing[0]}{more}.",
                got=f"{len(self._whole):,} pictures",
                allowed="a picture for each crop with its name, such as .png; an empty one where nobody is",
                fix=f"add {Path(missing[0]).with_suffix('.png')}",
            )
        check_sizes(table.paths, [file for file in found if file is not None])


def contents(folder: MaskFolder) -> str:
    """SHA-256 over the names and the contents of a folder's masks."""
    return sha256(f"{file.relative_to(folder.path).as_posix()} {file_sha256(file)}\n".encode() for file in folder.all)


def read_mask(path: Path) -> np.ndarray:
    """A mask file as bool (H, W): above 0 on the person.

    Raises:
        DataError: It cannot be decoded.
    """
    person: np.ndarray = np.asarray(read_rgb(path)).max(axis=2) > 0
    return person


def called(function: MaskFunction, crop: np.ndarray, name: str) -> np.ndarray | None:
    """What a function says of a crop, as bool (H, W); None where there is nobody.

    Raises:
        DataError: It gives something else than a mask of the crop's size.
    """
    mask = function(crop)
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.shape != crop.shape[:2] or mask.dtype.kind not in "buif":
        raise DataError(
            f"The function for masks gives no mask of {name}.",
            got=f"{mask.dtype} {mask.shape}",
            allowed=f"booleans or numbers {crop.shape[:2]}, above 0 on the person; or None",
        )
    person: np.ndarray = mask > 0
    return person


def place_mask(mask: np.ndarray, file: Path | None, target: Path, crops: Crops) -> None:
    """Write a mask, bool (H, W), as a PNG with 255 on the person; a file that has 255 itself is linked or copied.

    Args:
        mask: The mask.
        file: Where it was read from, which may be softer: then its numbers stay.
        target: Where it shall be.
        crops: How.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if file is not None and file.suffix.lower() == ".png" and read_rgb(file).convert("L").getextrema()[1] == 255:
        link_or_copy(file, target, crops=crops)
        return
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    write_bytes(target, stream.getvalue())
