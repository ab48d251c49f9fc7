"""Crops on the page: as pictures where they may be shown, as empty frames where they show a real person."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from reidgen.data.pixels.images import read_rgb
from reidgen.data.table import ReidTable
from reidgen.report.html.markup import Markup, data_uri, tag

HEIGHT = 160  # pixels at most; twice what a crop has on the page, for dense screens
QUALITY = 88
Verdict = Literal["right", "wrong"]


@dataclass(frozen=True)
class Viewer:
    """Decides which crops stand on the page.

    A page may be published, so people who were recorded are not on it unless that is asked for; nor are pictures of a
    generator that learned from them, which may remember them.

    Attributes:
        show_real: "allow" shows all crops.
        learned_from: Origins of the crops that the generator has seen; empty where that is not known.
    """

    show_real: Literal["never", "allow"] = "never"
    learned_from: frozenset[str] = frozenset()

    def shows(self, origin: str) -> bool:
        """Whether crops of this origin are shown."""
        invented = self.learned_from == {"rendered"}
        return self.show_real == "allow" or origin == "rendered" or (origin == "generated" and invented)

    def why_not(self, origins: set[str]) -> str | None:
        """What the page says where crops of these origins are missing; None where none is."""
        hidden = {origin for origin in origins if not self.shows(origin)}
        if not hidden:
            return None
        reasons = {
            "real": "real people are not shown",
            "generated": "crops of a generator that learned from real people are not shown, as it may remember them"
            if "real" in self.learned_from
            else "generated crops are not shown, as it is not known here whom their generator learned from",
            "unknown": "crops whose table is not there any more are not shown",
        }
        why = "; ".join(reasons.get(origin, f"crops of origin {origin} are not shown") for origin in sorted(hidden))
        return f'{why[0].upper()}{why[1:]}: this page may be published. show_real "allow" puts them on it.'


def crop(row: dict[str, Any], viewer: Viewer, *, caption: str | None = None, verdict: Verdict | None = None) -> Markup:
    """One crop of a table with its caption, and a green or red border for a right or wrong match.

    Args:
        row: The crop's row as a dict, with root, file_name, pid, camid and origin.
        viewer: Whether it may be seen.
        caption: Text below it.
        verdict: "right" is green, "wrong" red.
    """
    what = f"{row['origin']} crop of person {row['pid']}, camera {row['camid']}" + (f", {verdict}" if verdict else "")
    path = Path(row["root"]) / row["file_name"]
    if viewer.shows(row["origin"]) and path.is_file():
        picture = tag("img", src=_jpeg(path), alt=what, loading="lazy")
    else:
        picture = tag("div", class_="veil", role="img", aria_label=f"{what}, not shown")
    below = tag("figcaption", caption) if caption else None
    return tag("figure", picture, below, class_="crop" + (f" {verdict}" if verdict else ""))


def crops(table: ReidTable, viewer: Viewer, *, captions: Sequence[str] | None = None) -> Markup:
    """All crops of a table in one box."""
    rows = list(table.rows.iter_rows(named=True))
    texts: Sequence[str | None] = [None] * len(rows) if captions is None else captions
    return tag("div", *(crop(row, viewer, caption=text) for row, text in zip(rows, texts, strict=True)), class_="crops")


def picture(content: bytes, *, text: str) -> Markup:
    """A whole PNG file, as wide as the page at most."""
    return tag("img", src=data_uri(content, "image/png"), alt=text, class_="wide")


def _jpeg(path: Path) -> str:
    """The crop as a small JPEG, coded anew so that nothing but the pixels goes along."""
    image = Image.fromarray(np.asarray(read_rgb(path)))  # without the file's comments, which Pillow would save again
    if image.height > HEIGHT:
        image = image.resize((max(1, round(image.width * HEIGHT / image.height)), HEIGHT), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return data_uri(stream.getvalue(), "image/jpeg")
