"""How a crop of a style generator, or of a DCGAN, is made."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from reidgen.data.provenance.text import HASH, NUMBER, Operation, maker


@dataclass(frozen=True)
class Style(Operation):
    """How `generate people` or `generate variants` makes a crop. The weights are named by the column `generator`.

    Attributes:
        network: Kind of the generator: stylegan2, stylegan3-t, stylegan3-r or dcgan.
        w: Seed of the person's w; or, with `latents`, the row of its w+ in that file.
        noise: Seed of the noise; a network without noise has no use for it.
        psi: Truncation.
        quality: JPEG quality of the file.
        layers: Layers whose w moves towards the donor's; empty for the person itself.
        donor: Seed of the donor's w, or None; or, with `donors`, the row of its w+ in that file.
        weight: How far the layers move: 1 is all the way.
        latents: The file of w+ of real crops that `w` is a row of, by the first 16 digits of its SHA-256.
        donors: Likewise for `donor`.
    """

    command: ClassVar[str] = "generate people or variants"
    form: ClassVar[str] = "NETWORK psi=... w=... noise=... jpeg=..."
    pattern: ClassVar[re.Pattern[str]] = re.compile(
        rf"(?P<network>[a-z][a-z0-9-]*) psi=(?P<psi>{NUMBER}) w=(?:(?P<latents>{HASH}):)?(?P<w>\d+)"
        rf"(?: layers=(?P<layers>[\d,]+) from=(?:(?P<donors>{HASH}):)?(?P<donor>\d+)(?: weight=(?P<weight>{NUMBER}))?)?"
        r" noise=(?P<noise>\d+) jpeg=(?P<quality>\d+)"
    )
    network: str
    w: int
    noise: int
    psi: float
    quality: int
    layers: tuple[int, ...] = ()
    donor: int | None = None
    weight: float = 1.0
    latents: str | None = None
    donors: str | None = None

    def __str__(self) -> str:
        donor = _numbered(self.donors, self.donor)
        mix = "" if self.donor is None else f" layers={','.join(map(str, self.layers))} from={donor}"
        part = "" if self.weight == 1 else f" weight={self.weight!r}"
        own = _numbered(self.latents, self.w)
        return f"{self.network} psi={self.psi!r} w={own}{mix}{part} noise={self.noise} jpeg={self.quality}"

    def in_words(self, row: Mapping[str, Any]) -> str:
        """How the crop of a row came about."""
        w = f"of seed {self.w}" if self.latents is None else f"that was found for a crop (row {self.w})"
        text = f"Made by the {self.network} generator {maker(row)} from the w {w}, truncated to {self.psi:g}."
        if self.donor is not None:
            whose = f"seed {self.donor}" if self.donors is None else f"another crop (row {self.donor})"
            far = "all the way" if self.weight == 1 else f"by {self.weight:.0%}"
            group = f" ({row['mix']})" if row.get("mix") else ""
            layers = ", ".join(map(str, self.layers))
            text += f" In layers {layers}{group} its style moves {far} towards that of {whose}."
        return f"{text} Noise of seed {self.noise}; JPEG of quality {self.quality}."


def _numbered(file: str | None, number: int | None) -> str:
    return str(number) if file is None else f"{file}:{number}"
