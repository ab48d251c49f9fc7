"""How a person is turned."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from reidgen.data.provenance.text import HASH, Operation, maker


@dataclass(frozen=True)
class View(Operation):
    """How one crop's person was turned. The weights are named by the column `generator`, the crop by `parent`.

    Attributes:
        angle: Degrees.
        structure: What said how the person should stand: mesh, grey or pose.
        crop: First 16 digits of the SHA-256 of the crop's file.
        shape: The same of the structure's file, or of the numbers of its key points.
        quality: JPEG quality of the file.
        donor: Name of the crop whose structure was taken; None: the crop's own mesh.

    >>> str(View(90, "mesh", "0" * 16, "1" * 16, 95))
    'view angle=90 structure=mesh crop=0000000000000000 shape=1111111111111111 jpeg=95'
    """

    command: ClassVar[str] = "generate rotate"
    form: ClassVar[str] = "view angle=... structure=... crop=... shape=... jpeg=..."
    pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"view angle=(?P<angle>\d+) structure=(?P<structure>mesh|grey|pose)(?: of=(?P<donor>\S+))?"
        rf" crop=(?P<crop>{HASH}) shape=(?P<shape>{HASH}) jpeg=(?P<quality>\d+)"
    )
    angle: int
    structure: str
    crop: str
    shape: str
    quality: int
    donor: str | None = None

    def __str__(self) -> str:
        of = "" if self.donor is None else f" of={quote(self.donor)}"
        files = f"crop={self.crop} shape={self.shape}"
        return f"view angle={self.angle} structure={self.structure}{of} {files} jpeg={self.quality}"

    def in_words(self, row: Mapping[str, Any]) -> str:
        """How the crop of a row came about."""
        by = "its own mesh" if self.donor is None else f"the {self.structure} of {self.donor}"
        turned = f"The person of {row['parent']}, turned to {self.angle} degrees by {by}."
        return f"{turned} Made by the rotator {maker(row)}; JPEG of quality {self.quality}."
