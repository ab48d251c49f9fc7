"""How crops are made: the texts of the table's column `operation`, a class for each kind with `str` and `parse`.

The first word of a text tells its kind. A new kind is a class here and a line in `KINDS`.
"""

from reidgen.data.provenance.rendering import Rendering as Rendering
from reidgen.data.provenance.style import Style as Style
from reidgen.data.provenance.text import Operation as Operation
from reidgen.data.provenance.translation import Translation as Translation
from reidgen.data.provenance.view import View as View
from reidgen.errors import DataError

KINDS: dict[str, type[Operation]] = {
    **dict.fromkeys(("stylegan2", "stylegan3-t", "stylegan3-r", "dcgan"), Style),
    "translation": Translation,
    "view": View,
    "render": Rendering,
}


def read_operation(text: str | None) -> Operation:
    """What made a crop.

    >>> read_operation("render v1 seed=0 person=12 camera=3 index=1 size=128x64 pose=walk").person
    12

    Raises:
        DataError: The text is of no kind, or not whole; crops that were resized after they were made have such texts.
    """
    kind = KINDS.get((text or "").partition(" ")[0])
    if kind is None:
        raise DataError(
            "The table does not say how the crop was made.",
            got=f"operation {text!r}",
            allowed=", ".join(KINDS),
        )
    return kind.parse(text)
