"""How a crop is moved to another camera."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from reidgen.data.provenance.text import HASH, Operation, maker


@dataclass(frozen=True)
class Translation(Operation):
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

    command: ClassVar[str] = "generate translate"
    form: ClassVar[str] = "translation SOURCE>TARGET crop=... noise=... jpeg=..."
    pattern: ClassVar[re.Pattern[str]] = re.compile(
        rf"translation (?P<source>\d+)>(?P<target>\d+) crop=(?P<crop>{HASH})(?: mask=(?P<mask>{HASH}))?"
        rf"(?: pose=(?P<pose>[^\s:]+):(?P<posed>{HASH}))? noise=(?P<noise>\d+) jpeg=(?P<quality>\d+)"
    )
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
