"""The text in the table's column `operation` from which a generated crop can be made again."""

import re
from dataclasses import dataclass

from reidgen.errors import DataError

_TEXT = re.compile(
    r"stylegan2 psi=(?P<psi>\S+) w=(?P<w>\d+)(?: layers=(?P<layers>[\d,]+) from=(?P<donor>\d+))? noise=(?P<noise>\d+)"
    r" jpeg=(?P<quality>\d+)"
)


@dataclass(frozen=True)
class Operation:
    """How one crop is made.

    Attributes:
        w: Seed of the person's w.
        noise: Seed of the noise.
        psi: Truncation.
        quality: JPEG quality of the file.
        layers: Layers whose w comes from the donor; empty for the person itself.
        donor: Seed of the donor's w, or None.
    """

    w: int
    noise: int
    psi: float
    quality: int
    layers: tuple[int, ...] = ()
    donor: int | None = None

    def __str__(self) -> str:
        mix = f" layers={','.join(map(str, self.layers))} from={self.donor}" if self.donor is not None else ""
        return f"stylegan2 psi={self.psi!r} w={self.w}{mix} noise={self.noise} jpeg={self.quality}"

    @classmethod
    def parse(cls, text: str | None) -> "Operation":
        """Read the text back.

        Raises:
            DataError: It is not the text of a generated person.
        """
        found = _TEXT.fullmatch(text or "")
        if found is None:
            raise DataError(
                "The crop was not made by generate people.",
                got=f"operation {text!r}",
                allowed="stylegan2 psi=... w=... noise=...",
            )
        layers = tuple(int(layer) for layer in (found["layers"] or "").split(",") if layer)
        donor = int(found["donor"]) if found["donor"] else None
        return cls(int(found["w"]), int(found["noise"]), float(found["psi"]), int(found["quality"]), layers, donor)
