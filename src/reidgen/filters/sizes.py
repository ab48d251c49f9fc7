"""The size at which a filter compares crops."""

from dataclasses import replace
from typing import Self

from reidgen.data.pixels.images import read_size
from reidgen.data.table import ReidTable


class SizedFilter:
    """What all filters share that compare crops at one size; they are frozen dataclasses.

    Attributes:
        size: (height, width); None until the filter is prepared.
    """

    size: tuple[int, int] | None

    def prepared(self, table: ReidTable) -> Self:
        """The filter with the size of the table's first crop, unless it has one."""
        return self if self.size is not None or not len(table) else replace(self, size=crop_size(table))  # type: ignore[type-var]


def crop_size(table: ReidTable) -> tuple[int, int]:
    """(height, width) of a table's first crop."""
    return read_size(table.paths[0])
