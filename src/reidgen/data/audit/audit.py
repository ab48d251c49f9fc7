"""What is wrong with a dataset, found before a training meets it."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from reidgen.data.audit.findings import SEVERITIES, Audit, Finding, Severity
from reidgen.data.audit.inspect import Look, inspect
from reidgen.data.audit.near import near_pairs
from reidgen.data.disk.notes import FROM_ZERO
from reidgen.data.readers.counts import count
from reidgen.data.table import DISTRACTOR, FOLDERS, ReidTable

BAD = {"unreadable": "unreadable image", "absurd": "absurd image", "mode": "image that is not plain RGB"}
NEAR_AT_MOST = 150_000  # pictures: beyond, the search takes minutes
PERSON = pl.col("pid") > DISTRACTOR
TEST = pl.col("split") != "train"


def audit(table: ReidTable, looks: Iterable[list[Look]] | None = None, told: Iterable[Finding] = ()) -> Audit:
    """Look for what makes trainings fail and evaluations wrong. Nothing is changed and nothing is raised for bad data.

    Args:
        table: All splits of a dataset.
        looks: `inspect(table)`, for callers who want to show progress; None runs it.
        told: What the reader has to say.
    """
    seen = [one for part in (inspect(table) if looks is None else looks) for one in part]
    assert len(seen) == len(table)
    found = [
        *told,
        *_bad_images(seen),
        *_duplicates(table.rows, seen),
        *_near_duplicates(table.rows, seen),
        *_splits(table),
        *_people(table.rows),
        *_queries(table),
    ]
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    sizes = Counter(f"{one.size[0]}x{one.size[1]}" for one in seen if one.size)
    bad = tuple(one.file_name for one in seen if one.kind)
    return Audit(table.name, count(table), dict(sizes.most_common()), tuple(found), bad)


def _bad_images(seen: list[Look]) -> Iterator[Finding]:
    for kind, what in BAD.items():
        severity: Severity = "error" if kind == "unreadable" else "warning"
        reasons: dict[str, list[str]] = {}
        for one in seen:
            if one.kind == kind:
                reasons.setdefault(one.reason, []).append(one.file_name)
        for reason, files in reasons.items():
            undecoded = kind == "mode" and "no 8-bit" in reason
            yield Finding("error" if undecoded else severity, what, reason, tuple(files))


def _duplicates(rows: pl.DataFrame, seen: list[Look]) -> Iterator[Finding]:
    """Groups of rows with the same pixels, told apart by how much harm they do."""
    keys = [None if one.kind == "unreadable" else one.pixels or one.content for one in seen]
    marked = rows.select("file_name", "pid", "split").with_columns(key=pl.Series(keys, dtype=pl.Binary))
    groups = (
        marked.filter(pl.col("key").is_not_null())
        .group_by("key", maintain_order=True)
        .agg("file_name", "pid", "split")
        .filter(pl.col("file_name").list.len() > 1)
    )
    cases: dict[tuple[Severity, str, str], list[str]] = {}
    for _, files, pids, splits in groups.iter_rows():
        for case in _duplicate_cases(set(pids), set(splits)):
            cases.setdefault(case, []).append(" = ".join(files))
    for (severity, what, why), files in sorted(cases.items()):
        yield Finding(severity, what, f"{_many(len(files), 'picture', 'pictures')}: {why}", tuple(files))


def _duplicate_cases(pids: set[int], splits: set[str]) -> Iterator[tuple[Severity, str, str]]:
    """What is wrong with one picture in several rows; a wrong label does not hide that it joins train and test."""
    if len(pids) > 1:
        yield "error", "one picture of several people", "the same pixels under different people"
    if "train" in splits and len(splits) > 1:
        yield "error", "duplicates across train and test", "a test picture is learned from"
    elif len(splits) > 1:
        yield "warning", "duplicates across query and gallery", "the query itself is in the gallery"
    elif len(pids) == 1:
        yield "warning", f"duplicates within {next(iter(splits))}", "the same pixels more than once"


def _near_duplicates(rows: pl.DataFrame, seen: list[Look]) -> Iterator[Finding]:
    """Pairs of pictures that are nearly one, where that contradicts a label or a split; exact ones are told above."""
    shown = [number for number, one in enumerate(seen) if one.thumbnail is not None]
    if len(shown) > NEAR_AT_MOST:
        yield Finding("note", "near-duplicates", f"not looked for among more than {NEAR_AT_MOST:,} pictures")
        return
    thumbnails = [one.thumbnail for one in seen if one.thumbnail is not None]
    labels = rows.select("file_name", "pid", "camid", "split").rows()
    cases: dict[tuple[str, str], list[str]] = {}
    for first, second in near_pairs(np.stack(thumbnails)) if thumbnails else ():
        one, other = shown[first], shown[second]
        if seen[one].pixels != seen[other].pixels:
            for case in _near_cases(labels[one], labels[other]):
                cases.setdefault(case, []).append(f"{labels[one][0]} = {labels[other][0]}")
    for (what, why), files in sorted(cases.items()):
        yield Finding("warning", what, f"{_many(len(files), 'pair', 'pairs')}: {why}", tuple(files))


def _near_cases(one: tuple[str, int, int, str], other: tuple[str, int, int, str]) -> Iterator[tuple[str, str]]:
    """What is odd about two pictures (file, person, camera, split) that are nearly one."""
    (_, pid, camid, split), (_, pid_b, camid_b, split_b) = one, other
    if pid != pid_b:
        yield "near-duplicates of several people", "one of the two labels is wrong, or both people are in the picture"
    if (split == "train") != (split_b == "train"):
        yield "near-duplicates across train and test", "a test picture is learned from, or nearly"
    if camid != camid_b:
        yield "near-duplicates across cameras", "a copy counts as a match; one of the two cameras is wrong"
    elif {split, split_b} == {"query", "gallery"}:
        yield "near-duplicates across query and gallery", "protocol all finds the query itself, or nearly"


def _splits(table: ReidTable) -> Iterator[Finding]:
    sizes = {split: len(table.where(pl.col("split") == split)) for split in FOLDERS}
    empty = {split for split, size in sizes.items() if not size}
    if "train" in empty:
        yield Finding("warning", "empty split", "train has no crops: nothing to learn from")
    if {"query", "gallery"} <= empty:
        yield Finding("note", "empty split", "query and gallery have no crops: a training cannot be evaluated")
    elif empty & {"query", "gallery"}:
        (split,) = empty & {"query", "gallery"}
        yield Finding("error", "empty split", f"{split} has no crops: nothing can be ranked")
    nobody = table.rows.filter((pl.col("split") == "train") & ~PERSON)["file_name"].to_list()
    if nobody:
        why = f"junk (-1) and distractors (0) cannot be classes; {FROM_ZERO}"
        yield Finding("error", "train crops of nobody", why, tuple(nobody))


def _people(rows: pl.DataFrame) -> Iterator[Finding]:
    both = set(rows.filter(PERSON & ~TEST)["pid"]) & set(rows.filter(PERSON & TEST)["pid"])
    if both:
        why = f"{_many(len(both), 'person', 'people')}: the test measures people that were learned"
        yield Finding("error", "people in train and test", why, people=tuple(sorted(both)))
    for side, chosen in (("train", ~TEST), ("test", TEST)):
        cameras = rows.filter(PERSON & chosen).group_by("pid").agg(pl.col("camid").n_unique()).sort("pid")
        one = cameras.filter(pl.col("camid") == 1)["pid"].to_list()
        if one:
            every = len(one) == len(cameras)
            why = f"{len(one):,} of {len(cameras):,} {side} people: nothing to recognise them by from another camera"
            yield Finding("warning" if every else "note", "people with one camera", why, people=tuple(one))


def _queries(table: ReidTable) -> Iterator[Finding]:
    """Queries that no gallery crop can match under the market protocol, by why."""
    gallery = table.gallery.rows.filter(PERSON)
    cameras: dict[int, set[int]] = {}
    for pid, camid in gallery.select("pid", "camid").unique().iter_rows():
        cameras.setdefault(pid, set()).add(camid)
    reasons: dict[str, list[tuple[str, int]]] = {}
    for file_name, pid, camid in table.query.rows.select("file_name", "pid", "camid").iter_rows():
        why = _why_unmatched(pid, camid, cameras)
        if why and len(table.gallery):
            reasons.setdefault(why, []).append((file_name, pid))
    for why, queries in reasons.items():
        people = tuple(sorted({pid for _, pid in queries}))
        reason = f"{len(queries):,} of {len(table.query):,} queries: {why}"
        severity: Severity = "error" if len(queries) == len(table.query) else "warning"
        yield Finding(severity, "queries without a match", reason, tuple(name for name, _ in queries), people)


def _why_unmatched(pid: int, camid: int, cameras: dict[int, set[int]]) -> str:
    if pid <= DISTRACTOR:
        return "the query itself is junk or a distractor"
    if not cameras:
        return "the gallery holds only junk and distractors"
    if pid not in cameras:
        return "the person is not in the gallery"
    return "the person is in the gallery only in the query's own camera" if cameras[pid] == {camid} else ""


def _many(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"
