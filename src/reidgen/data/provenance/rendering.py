"""How a crop is rendered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from reidgen.data.provenance.text import Operation

VERSION = 1  # of the renderer: goes up when a crop of the same numbers has other pixels


@dataclass(frozen=True)
class Rendering(Operation):
    """How `render` makes a crop.

    Attributes:
        seed: Of the run.
        person, camera: Numbers by which person and place are drawn, whatever the table calls them today.
        index: Which of the camera's pictures of the person.
        size: (height, width).
        pose: Name of the pose, for people to read; the numbers say it already.
        version: Of the renderer.

    >>> str(Rendering(seed=0, person=12, camera=3, index=1, size=(128, 64), pose="walk"))
    'render v1 seed=0 person=12 camera=3 index=1 size=128x64 pose=walk'
    """

    command: ClassVar[str] = "render"
    form: ClassVar[str] = "render v1 seed=... person=... camera=... index=... size=... pose=..."
    pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"render v(?P<version>\d+) seed=(?P<seed>\d+) person=(?P<person>\d+) camera=(?P<camera>\d+)"
        r" index=(?P<index>\d+) size=(?P<size>\d+x\d+) pose=(?P<pose>\S+)"
    )
    seed: int
    person: int
    camera: int
    index: int
    size: tuple[int, int]
    pose: str
    version: int = VERSION

    def __str__(self) -> str:
        height, width = self.size
        who = f"seed={self.seed} person={self.person} camera={self.camera} index={self.index}"
        return f"render v{self.version} {who} size={height}x{width} pose={self.pose}"

    def in_words(self, row: Mapping[str, Any]) -> str:
        """How the crop of a row came about."""
        seen = f"person {self.person} of seed {self.seed}, seen by camera {self.camera}, picture {self.index} there"
        return f"Rendered: {seen}, pose {self.pose}, by version {self.version} of the renderer."
