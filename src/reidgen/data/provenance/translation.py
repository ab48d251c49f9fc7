"""How a crop is moved to another camera."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from reidgen.data.provenance.style import maker
from reidgen.errors import DataError

DIGITS = 16  # of a file's SHA-256
_TEXT = re.compile(
    r"translation (?P<source>\d+)>(?P<target>\d+) crop=(?P<crop>[0-9a-f]{16})(?: mask=(?P<mask>[0-9a-f]{16}))?"
    r"(?: pose=(?P<pose>[^\s:]+):(?P<posed>[0-9a-f]{16}))? noise=(?P<noise>\d+) jpeg=(?P<quality>\d+)"
)


@dataclass(frozen=True)
class Translation:
    """How one crop was moved to another camera. The weights are named by the column `generator`, the crop by `parent`.

    Attributes:
        source: Camera of the crop.
        target: Camera that it was moved to.
        crop: First 16 digits of the SHA-256 of the crop's file.
        noise: Seed of dropout, or of the background; networks without noise have no use for it.
        quality: JPEG quality of the file.
        mask: The same of the file of its mask; None where none was needed.
        pose: Name of the crop of the target whose mask the person was given; None where none was.
        posed: First 16 digits of the SHA-256 of that mask's file.
    """

    source: int
    target: int
    crop: str
    noise: int
    quality: int
    mask: str | None = None
    pose: str | None = None
    posed: str | None = None

    def __str__(self) -> str:
        mask = "" if self.mask is None else f" mask={self.mask}"
        pose = "" if self.pose is None else f" pose={quote(self.pose)}:{self.posed}"
        way = f"{self.source}>{self.target}"
        return f"translation {way} crop={self.crop}{mask}{pose} noise={self.noise} jpeg={self.quality}"

    def in_words(self, row: Mapping[str, Any]) -> str:
        """How the crop of a row came about."""
        pose = "" if self.pose is None else f", standing as {self.pose} stands"
        moved = f"The crop {row['parent']} of camera {self.source}, as camera {self.target} would show it{pose}."
        return f"{moved} Made by the translator {maker(row)}; JPEG of quality {self.quality}."

    @classmethod
    def parse(cls, text: str | None) -> "Translation":
        """Read the text back.

        Raises:
            DataError: It is not the text of a translated crop.
        """
        found = _TEXT.fullmatch(text or "")
        if found is None:
            raise DataError(
                "The crop was made by another command than generate translate.",
                got=f"operation {text!r}",
                allowed="translation SOURCE>TARGET crop=... noise=... jpeg=...",
            )
        pose = None if found["pose"] is None else unquote(found["pose"])
        numbers = int(found["noise"]), int(found["quality"])
        return cls(
            int(found["source"]), int(found["target"]), found["crop"], *numbers, found["mask"], pose, found["posed"]
        )
