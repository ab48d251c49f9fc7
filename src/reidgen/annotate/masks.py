"""Where masks come from beside the model: a folder of files, or a function of the user's."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from reidgen.data.disk.threads import in_order
from reidgen.data.pixels.images import ENDINGS, read_rgb
from reidgen.data.pixels.maps import check_sizes
from reidgen.data.table import ReidTable
from reidgen.errors import DataError, option
from reidgen.files import Crops, file_sha256, link_or_copy, sha256, write_bytes

JPEG = (".jpg", ".jpeg")
MOST_COLOURS, MANY_LEVELS, LEAST_BLACK = 256, 64, 0.02  # what tells masks, soft ones too, from photographs
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
        """Raise `DataError` unless each crop of a table has a mask, of its size, that is no photograph."""
        found = {name: self.file(name) for name in table.rows["file_name"]}
        missing = [name for name, file in found.items() if file is None]
        if missing:
            raise DataError(
                f"{self.path} has no mask for {len(missing):,} of {len(table):,} crops, such as {missing[0]}.",
                got=f"{len(self._whole):,} pictures",
                allowed="a picture for each crop with its name, such as .png; an empty one where nobody is",
                fix=f"add {Path(missing[0]).with_suffix('.png')}",
            )
        files = [file for file in found.values() if file is not None]
        check_sizes(table.paths, files)
        photographs = [file for file, one in zip(files, in_order(is_photograph, files), strict=True) if one]
        if photographs:
            raise DataError(
                f"{len(photographs):,} of {len(files):,} pictures in {self.path} are no masks, but photographs.",
                got=f"such as {photographs[0]}",
                allowed=f"0 where nobody is, more on the person; {MOST_COLOURS} colours at most",
                fix=f"another folder, or {option(masks='mediapipe')}, which finds the people",
            )


def is_photograph(path: Path) -> bool:
    """Whether a picture has more colours than a mask can have, or many levels of grey and hardly any black.

    Raises:
        DataError: It cannot be decoded.
    """
    pixels = np.asarray(read_rgb(path)).reshape(-1, 3).astype(np.uint32)
    colours = len(np.unique(pixels[:, 0] << 16 | pixels[:, 1] << 8 | pixels[:, 2]))
    black = (pixels.max(axis=1) == 0).mean()
    return bool(colours > MOST_COLOURS or (colours > MANY_LEVELS and black < LEAST_BLACK))


def contents(folder: MaskFolder) -> str:
    """SHA-256 over the names and the contents of a folder's masks."""
    return sha256(f"{file.relative_to(folder.path).as_posix()} {file_sha256(file)}\n".encode() for file in folder.all)


def read_mask(path: Path) -> np.ndarray:
    """A mask file as bool (H, W): above 0 on the person; of a JPEG above half of its brightest value.

    JPEG spreads a mask's edge over blocks of 8 pixels: of the shipped masks at quality 75 what is above 0 has an IoU of
    .79 with the mask, what is above half all of it.

    Raises:
        DataError: It cannot be decoded.
    """
    values = np.asarray(read_rgb(path)).max(axis=2)
    person: np.ndarray = values > (values.max() // 2 if path.suffix.lower() in JPEG else 0)
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
