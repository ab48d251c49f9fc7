"""Where generated crops come from: the chain of parents, back to a crop that was not generated with them."""

from collections.abc import Mapping

from reidgen.data.table import ReidTable


def ends_of_chains(table: ReidTable) -> list[str | None]:
    """For each crop its first ancestor outside the table; None where the chain ends at a crop without a parent."""
    parents = dict(table.rows.select("file_name", "parent").iter_rows())
    return [end_of_chain(name, parents) for name in table.rows["file_name"]]


def end_of_chain(name: str, parents: Mapping[str, str | None]) -> str | None:
    """The first ancestor outside the generated table; None for a crop without parents.

    A generated crop may have the very name of the real crop it was made from, so a name met twice is the real one.

    Args:
        name: A crop of the table.
        parents: Parent of each crop of the table, by name.
    """
    seen = {name}
    parent = parents[name]
    while parent is not None and parent in parents and parent not in seen:
        seen.add(parent)
        parent = parents[parent]
    return parent
