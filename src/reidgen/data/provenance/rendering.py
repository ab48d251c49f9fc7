"""How a crop is rendered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reidgen.errors import DataError

VERSION = 1  # of the renderer: goes up when a crop of the same numbers has other pixels
_TEXT = re.compile(
    r"render v(?P<version>\d+) seed=(?P<seed>\d+) person=(?P<person>\d+) camera=(?P<camera>\d+) index=(?P<index>\d+)"
    r" size=(?P<height>\d+)x(?P<width>\d+) pose=(?P<pose>\S+)"
)


@dataclass(frozen=True)
class Rendering:
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

    @classmethod
    def parse(cls, text: str | None) -> "Rendering":
        """Read the text back.

        Raises:
            DataError: It is not the text of a rendered crop, or one of a version that did not write the numbers down.
        """
        found = _TEXT.fullmatch(text or "")
        if found is None:
            raise DataError(
                "The crop was not rendered, or by a version that did not write down how.",
                got=f"operation {text!r}",
                allowed="render v1 seed=... person=... camera=... index=... size=... pose=...",
            )
        seed, person, camera, index = (int(found[name]) for name in ("seed", "person", "camera", "index"))
        size = int(found["height"]), int(found["width"])
        return cls(seed, person, camera, index, size, found["pose"], int(found["version"]))
