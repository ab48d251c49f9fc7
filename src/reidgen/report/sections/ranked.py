"""Ranked lists: one query by both networks, matches green, mistakes red (Alvarez-Gonzalez, thesis, figure 5.22)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reidgen.report.html.markup import Markup, join, note, section, soft, tag
from reidgen.report.html.sheets import Viewer, crop

QUERIES, PLACES = 6, 10


@dataclass(frozen=True)
class RankedList:
    """The nearest gallery crops of one query.

    Attributes:
        query: The query's row as a dict, with root, file_name, pid, camid and origin.
        gallery: Rows of the nearest gallery crops, nearest first, after the protocol's removals.
        right: For each of them whether it is the same person.
        ap: The query's average precision; None without a match in the gallery.
    """

    query: dict[str, Any]
    gallery: Sequence[dict[str, Any]]
    right: Sequence[bool]
    ap: float | None


def ranked_section(
    baseline: Sequence[RankedList], extended: Sequence[RankedList], viewer: Viewer, *, seed: str
) -> Markup | None:
    """The section of ranked lists, of the queries that both networks have; None where no list was kept.

    Args:
        baseline: Lists of one run without generated people.
        extended: Lists of the run with generated people; may be empty.
        viewer: Which crops may be seen.
        seed: Seed of the runs, for the text.
    """
    after = {lists.query["file_name"]: lists for lists in extended}
    both = [lists for lists in baseline if not after or lists.query["file_name"] in after]
    if not both:
        return None
    chosen = [both[i] for i in np.unique(np.linspace(0, len(both) - 1, min(QUERIES, len(both))).round().astype(int))]
    why_not = viewer.why_not({row["origin"] for lists in chosen for row in (lists.query, *lists.gallery)})
    said = (
        f"The {PLACES} nearest gallery crops of {len(chosen)} queries, evenly spread over those that the evaluation "
        f"kept and not picked by hand; runs of seed {seed}. "
    )
    colours = tag("b", "Green"), " is the same person, ", tag("b", "red"), " is another one. "
    return section(
        "Ranked lists",
        soft(said, *colours, "AP is the query's average precision, in %."),
        note(why_not),
        [_query(lists, after.get(lists.query["file_name"]), viewer) for lists in chosen],
    )


def _query(before: RankedList, after: RankedList | None, viewer: Viewer) -> Markup:
    sides = [_side("baseline", "base", before, viewer)]
    if after is not None:
        sides.append(_side("extended", "more", after, viewer))
    query = crop(before.query, viewer, caption=f"query, camera {before.query['camid']}")
    return tag("div", tag("div", query, tag("div", *sides), class_="row"), class_="query")


def _side(name: str, colour: str, lists: RankedList, viewer: Viewer) -> Markup:
    places = zip(lists.gallery[:PLACES], lists.right[:PLACES], strict=True)
    shown = [crop(row, viewer, verdict="right" if right else "wrong") for row, right in places]
    ap = "no match" if lists.ap is None else f"AP {100 * lists.ap:.0f}"
    label = tag("div", tag("b", name, class_=colour), tag("br"), tag("span", ap, class_="soft"), class_="side")
    return tag("div", label, tag("div", join(shown), class_="crops"), class_="row")
