"""The parts of the page that show people and curves: crops, variants, trainings, the generator, what was rejected."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from reidgen.data.table import ReidTable
from reidgen.report.evidence import Evidence
from reidgen.report.folders import FILTERED, GENERATOR, Run
from reidgen.report.html.figures import Group, Line, chart, legend
from reidgen.report.html.markup import Markup, details, note, section, soft, table, tag
from reidgen.report.html.sheets import Viewer, crop, crops, picture
from reidgen.report.sections.regenerated import is_regenerated, regenerated
from reidgen.report.sweep.published import DISCARDED

SHOWN, PEOPLE_WITH_VARIANTS, VARIANTS = 15, 4, 9


def sheets(evidence: Evidence, viewer: Viewer) -> Markup | None:
    """Real | generated | rejected, side by side; one crop a person, people evenly spread over the table."""
    columns = []
    people, generated = evidence.people, evidence.generated
    if people is not None:
        own = people.where((pl.col("origin") != "generated") & (pl.col("pid") > 0))
        name = "Rendered people" if set(own.rows["origin"]) == {"rendered"} else "Real people"
        columns.append(_column(name, _crops(own), _spread(_first_of_each(own), SHOWN), viewer))
    if generated is not None:
        kept, rejected = generated.kept, _rejected(generated)
        columns.append(_column("Generated", _crops(kept), _spread(_first_of_each(kept), SHOWN), viewer))
        columns.append(_column("Rejected", _with_scores(rejected), _spread(rejected, SHOWN), viewer, scored=True))
    if not columns:
        return None
    shown = [one for one in (people, generated) if one is not None]
    return section(
        "The people",
        soft("One crop of each of a few people, evenly spread over the table; not picked by hand."),
        note(viewer.why_not({origin for one in shown for origin in one.rows["origin"]})),
        tag("div", *columns, class_="sheets"),
    )


def _column(name: str, under: str, shown: ReidTable, viewer: Viewer, *, scored: bool = False) -> Markup:
    captions = [_score(row) for row in shown.rows.iter_rows(named=True)] if scored else None
    inner = crops(shown, viewer, captions=captions) if len(shown) else soft("None.")
    return tag("div", tag("h3", name, " ", tag("span", under, class_="soft")), inner)


def _score(row: dict[str, Any]) -> str:
    """The score by which the first filter that rejects a crop does so, or the verdict where there is none."""
    name = row["rejected_by"].split(",")[0].split(":")[0]
    score = row.get(f"score_{name}")
    return row["rejected_by"] if score is None else f"{score:.2f}"


def _with_scores(rejected: ReidTable) -> str:
    return f"{_crops(rejected)}, with score" if len(rejected) else ""


def _crops(shown: ReidTable) -> str:
    return f"{len(shown):,} crop{'' if len(shown) == 1 else 's'}"


def _rejected(generated: ReidTable) -> ReidTable:
    if "rejected_by" not in generated.rows.columns:
        return generated.where([False] * len(generated))
    return generated.where(pl.col("rejected_by").is_not_null())


def _first_of_each(people: ReidTable) -> ReidTable:
    return people.where(pl.int_range(pl.len()).over("pid") == 0)


def _spread(shown: ReidTable, count: int) -> ReidTable:
    """At most `count` rows, evenly spread over the table."""
    places = np.linspace(0, len(shown) - 1, min(count, len(shown)))
    return ReidTable(shown.rows[np.unique(places.round().astype(np.int64))], shown.name)


def variants(evidence: Evidence, viewer: Viewer) -> Markup | None:
    """Seed | variants of a few generated people, rejected ones marked (Alvarez-Gonzalez, thesis, figure 5.6).

    Where the people are real ones, original | inversion | variants.
    """
    generated = evidence.generated
    if generated is None or not len(generated):
        return None
    if is_regenerated(generated):
        return regenerated(evidence, viewer)
    rows = []
    for pid in _spread(_first_of_each(generated), PEOPLE_WITH_VARIANTS).rows["pid"]:
        first, *others = generated.rows.filter(pl.col("pid") == pid).head(VARIANTS + 1).iter_rows(named=True)
        made = [crop(row, viewer, caption="rejected" if row.get("rejected_by") else None) for row in others]
        rows.append(tag("div", crop(first, viewer, caption="person"), tag("div", *made, class_="crops"), class_="row"))
    return section(
        "One generated person, many crops",
        soft(
            "Left, the person; right, its variants: the same latent code with the styles of another one in some "
            "layers. Whether these are the same person is for you to judge, and for the re-ID network to live with."
        ),
        note(viewer.why_not({"generated"})),
        *rows,
    )


def curves(evidence: Evidence) -> Markup | None:
    """Loss and rank-1 error over the training (Alvarez-Gonzalez, thesis, figures 5.17 to 5.20)."""
    groups: dict[Group, Any] = {"base": evidence.baseline, "more": evidence.extended}
    known = [(group, run.history) for group, runs in groups.items() for run in runs if run.history]
    if not known:
        return None
    names = [(colour, name) for colour, name in (("base", "baseline"), ("more", "extended")) if groups[colour]]  # type: ignore[index]
    return section(
        "How the re-ID networks learned",
        legend([(f"{n}, {part}", c, part == "validation") for c, n in names for part in ("training", "validation")]),
        tag(
            "div",
            chart("Loss, logarithmic", _training_lines(known, "loss", 1), xlabel="step", name="loss", scale="log"),
            chart("Rank-1 error, %", _training_lines(known, "error", 100), xlabel="step", name="error"),
            class_="plots",
        ),
        soft(
            "One line a run. Rank-1 error is the share of crops that the classifier takes for another person: of "
            "training crops as they were augmented, and of one held-out crop of each person. The groups learn other "
            "people, so compare shapes, not heights."
        ),
    )


def _training_lines(known: Sequence[tuple[Group, Sequence[dict[str, Any]]]], figure: str, scale: float) -> list[Line]:
    return [
        Line(
            [record["step"] for record in history],
            [None if record[name] is None else scale * record[name] for record in history],
            group,
            dashed=name.startswith("val"),
        )
        for group, history in known
        for name in (f"train_{figure}", f"val_{figure}")
    ]


def generator(evidence: Evidence, viewer: Viewer) -> Markup | None:
    """The generator's losses, overfitting heuristic and augmentation, and its fakes over the training."""
    run = evidence.only(GENERATOR)
    if run is None:
        return None
    records, facts = run.metrics, run.record["summary"]
    drawn = [
        chart(title, _generator_lines(records, lines), xlabel="images, thousands", name=f"generator{i}", marks=marks)
        for i, (title, lines, marks) in enumerate(_generator_charts(run))
    ]
    origins = " and ".join(facts["origins"])
    return section(
        "The generator",
        soft(
            f"Trained on {facts['images']:,} {origins} crops of the split {facts['split']}; {facts['kimg']:g} thousand "
            f"images shown to the discriminator{', after a transfer from other weights' if facts['parent'] else ''}."
        ),
        legend([("generator, or fakes", "base", False), ("discriminator, or reals", "more", False)]),
        tag("div", *drawn, class_="plots"),
        _fakes(run, viewer),
    )


def _generator_charts(run: Run) -> list[tuple[str, dict[str, Group], list[tuple[float, str]]]]:
    losses: list[tuple[str, dict[str, Group], list[tuple[float, str]]]] = [
        ("Loss", {"loss_g": "base", "loss_d": "more"}, []),
        ("Discriminator's output", {"d_fake": "base", "d_real": "more"}, []),
    ]
    target = run.record["config"].get("ada_target")
    if target is None:  # a DCGAN, which is not augmented
        return losses
    return [
        *losses,
        ("Overfitting heuristic r_t", {"r_t": "base"}, [(target, "target")]),
        ("Augmentation probability p", {"ada_p": "base"}, []),
    ]


def _generator_lines(records: Sequence[dict[str, Any]], lines: dict[str, Group]) -> list[Line]:
    return [Line([r["kimg"] for r in records], [r[name] for r in records], group) for name, group in lines.items()]


def _fakes(run: Run, viewer: Viewer) -> Markup | None:
    """First, middle and last sheet of fakes of the same seeds."""
    found = sorted(run.path.glob("fakes-*.png"))
    if not found or not viewer.shows("generated"):
        return note(viewer.why_not({"generated"}))
    chosen = dict.fromkeys((found[0], found[len(found) // 2], found[-1]))
    return tag("div", *(_fake_sheet(path) for path in chosen), class_="plots")


def _fake_sheet(path: Path) -> Markup:
    kimg = float(path.stem.removeprefix("fakes-"))
    text = "a sheet of generated people, of the same seeds in each sheet"
    return tag("figure", tag("h3", f"Fakes after {kimg:,g} thousand images"), picture(path.read_bytes(), text=text))


SAID = {"filters": list, "rejected": int, "people_with_one_crop": int, "reference": object}


def discards(evidence: Evidence, viewer: Viewer) -> Markup | None:
    """What each filter rejected, beside what the same rule does to reference crops (thesis, tables 5.5 and 5.9)."""
    run = evidence.only(FILTERED)
    if run is None:
        return None
    said = run.json("discarded.json", SAID)
    reference = said["reference"] or "no reference crops"
    rules = [tag("li", tag("b", row["filter"]), f": {row['rule']}.") for row in said["filters"]]
    alone = f"{said['people_with_one_crop']:,} people have a single crop. Nothing was deleted."
    return section(
        "What the filters rejected",
        tag(
            "p",
            "The last column is the floor: the same rule rejects this share of crops that nothing is wrong with. A "
            "filter says something about generated crops only where its share is well above that.",
        ),
        _discard_table(said, reference),
        _published_discards(),
        tag("ul", *rules, *map(_overlap, said.get("overlap", [])), tag("li", alone), class_="soft"),
        _calibrations(run, reference),
        _rejected_sheets(run, evidence, viewer),
    )


def _discard_table(said: dict[str, Any], reference: str) -> Markup:
    shares = ("share_of_all", "share_of_scored", "share_of_left", "reference_share")
    rows = [[row["filter"], f"{row['rejected']:,}", *(_percent(row.get(k)) for k in shares)] for row in said["filters"]]
    every = (
        f"{said['rejected']:,}",
        _percent(said["share_rejected"]),
        "",
        "",
        _percent(said.get("reference_share_rejected")),
    )
    head = ["filter", "crops discarded", "of all, %", "of scored, %", "of those left before, %", f"of {reference}, %"]
    return table(head, [*rows, ["all", *every]])


def _published_discards() -> Markup:
    rows = [
        [where, name, f"{count:,}", printed, f"{100 * count / crops:.2f}", f"{crops:,}"]
        for where, crops, filters in DISCARDED
        for name, count, printed in filters
    ]
    told = (
        "Alvarez-Gonzalez, thesis, tables 5.5 and 5.9. Not comparable with the table above: other crops, of another "
        "generator, without a column of real ones. The 2.3 % are of the crops that the first filter left, 1.46 % are "
        "of all; its text has 386 where the table has 396, and calls the 63,659 crops that the first filter left those "
        "that all filters left."
    )
    head = ["thesis, table", "filter", "crops discarded", "%, as printed", "of all, %", "crops"]
    return details("What the thesis's filters discarded (not comparable)", tag("p", told), table(head, rows, words=2))


def _overlap(pair: dict[str, Any]) -> Markup:
    first, second = pair["filters"]
    return tag(
        "li",
        f"{first} and {second} both reject {pair['both']:,} crops ({pair['both_if_independent']:,.1f} if they knew "
        f"nothing of each other); {first} alone {pair['first_alone']:,}, {second} alone {pair['second_alone']:,}.",
    )


def _rejected_sheets(run: Run, evidence: Evidence, viewer: Viewer) -> Markup | None:
    """What each filter threw away (thesis, figures 5.7 and 5.8), where all of it may be seen."""
    found = sorted(run.path.glob("rejected_*.png"))
    origins = set() if evidence.generated is None else set(evidence.generated.rows["origin"])
    if not found or not origins or not all(map(viewer.shows, origins)):
        return None  # the sheets of crops above say why
    drawn = []
    for path in found:
        name = path.stem.removeprefix("rejected_")
        text = f"crops that the filter {name} rejects, from the lowest score to the highest"
        drawn.append(tag("figure", tag("h3", f"Rejected by {name}"), picture(path.read_bytes(), text=text)))
    return tag("div", *drawn)


def _calibrations(run: Run, reference: str) -> Markup | None:
    found = sorted(run.path.glob("calibration_*.png"))
    text = f"scores of {reference} and of the generated crops, and the share that each threshold rejects"
    return tag("div", *(picture(path.read_bytes(), text=text) for path in found)) if found else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
