"""How near generated crops are to real ones: the curve over the training, the floor, and the published values."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from reidgen.fidelity.result import Fidelity
from reidgen.report.html.figures import Line, chart, legend
from reidgen.report.html.markup import Markup, details, join, section, soft, table, tag

# Alvarez-Gonzalez, thesis, table 5.4: FID on Market-1501, and whom it takes the value from.
PUBLISHED = (
    ("Real", 7.22, "Chen et al. 2021"),
    ("IS-GAN", 281.63, "Chen et al. 2021"),
    ("FD-GAN", 257.00, "Hussin and Yildirim 2021"),
    ("PG-GAN", 151.16, "Zheng et al. 2019"),
    ("DCGAN", 136.26, "Hussin and Yildirim 2021"),
    ("LSGAN", 136.26, "Zheng et al. 2019"),
    ("PN-GAN", 54.23, "Zheng et al. 2019"),
    ("GCL", 53.07, "Chen et al. 2021"),
    ("DG-Net", 18.24, "Chen et al. 2021"),
    ("DG-GAN", 18.24, "Hussin and Yildirim 2021"),
    ("StyleGAN3", 9.29, "the thesis itself"),
)
WHY_NOT = (
    "The published values are not comparable with ours, nor all with one another. A FID depends on the number of crops "
    "on both sides, the rule by which they are resized to 299x299, their file format, the reference split and the "
    "weights of the feature network; of the published values most of that is not stated, and neither is how the halves "
    "behind “Real 7.22” were taken. The StyleGAN3 of 9.29 was trained and measured on all of Market-1501, test people "
    "included. Ours are of other crops, and carry their protocol and a floor of their own, which real crops reach."
)


def fidelity_section(results: Sequence[Fidelity]) -> Markup | None:
    """Charts and a table for each protocol, then the published values."""
    if not results:
        return None
    groups = by_protocol(results)
    return section(
        "How near the generated crops are to real ones",
        [_group(group, number) for number, group in enumerate(groups)],
        _published(groups),
    )


def by_protocol(results: Sequence[Fidelity]) -> list[list[Fidelity]]:
    """Results that may stand in one curve: all that makes a figure is equal, the generated crops alone differ."""
    ordered = sorted(results, key=_key)
    return [list(group) for _, group in groupby(ordered, _key)]


def _key(result: Fidelity) -> tuple[str, ...]:
    facts = [result.facts[name] for name in ("real", "features", "size", "source", "fake_crops", "floor_crops")]
    options = [value for name, value in result.config.items() if name not in ("snapshots", "fakes", "device", "size")]
    return (result.measure, *map(str, facts), *map(str, options))


def points(group: Sequence[Fidelity]) -> list[dict[str, Any]]:
    """All sets of generated crops of a group by the length of their training; files, which have none, come first."""
    every = {(point["name"], point["weights"]): point for result in group for point in result.points}
    return sorted(every.values(), key=lambda point: -1.0 if point["kimg"] is None else point["kimg"])


def _group(group: Sequence[Fidelity], number: int) -> Markup:
    first, found = group[0], points(group)
    return join(
        [
            _charts(first, found, number) if sum(point["kimg"] is not None for point in found) > 1 else None,
            table(head(first), rows(first, found), rule=len(found)),
            soft(
                f"“As the floor”: {first.measure} of as many crops as the floor has, {first.floor['fake']:,} each; "
                "fewer crops make it larger. ± is the spread of the subsets."
            ),
            tag("p", first.seen),
            details(f"Protocol of this {first.measure}", tag("p", first.protocol)),
        ]
    )


def _charts(result: Fidelity, found: Sequence[dict[str, Any]], number: int) -> Markup:
    """The curve over the training (thesis, figure 5.1), with what real crops reach as a line."""
    curve = [point for point in found if point["kimg"] is not None]
    x, under = [point["kimg"] for point in curve], result.floor
    kid = result.measure.replace("FID", "KID")
    count = f"{result.facts['fake_crops']:,}"
    return join(
        [
            legend(
                [
                    (f"{result.measure} and {kid} of {count} generated crops, or precision", "base", False),
                    ("recall", "more", True),
                ]
            ),
            tag(
                "div",
                chart(
                    f"{result.measure}, logarithmic",
                    [Line(x, [point[result.key] for point in curve])],
                    xlabel="images, thousands",
                    name=f"fidelity{number}-distance",
                    scale="log",
                    marks=[(under[result.key], f"floor: real against real, {under['fake']:,} each")],
                ),
                chart(
                    f"{kid} x 1000",
                    [Line(x, [1000 * point[result.kid_key]["mean"] for point in curve])],
                    xlabel="images, thousands",
                    name=f"fidelity{number}-kid",
                    marks=[(1000 * under[result.kid_key]["mean"], "floor")],
                ),
                chart(
                    "Precision and recall, %",
                    [
                        Line(x, [100 * point["precision"] for point in curve]),
                        Line(x, [100 * point["recall"] for point in curve], "more", dashed=True),
                    ],
                    xlabel="images, thousands",
                    name=f"fidelity{number}-overlap",
                ),
                class_="plots",
            ),
        ]
    )


def head(result: Fidelity) -> list[str]:
    """Titles of the columns of `rows`."""
    kid = result.measure.replace("FID", "KID")
    counts = ["generated crops", "kimg", "real / generated crops", result.measure, f"{result.measure} as the floor"]
    return [*counts, f"{kid} x 1000", "precision, %", "recall, %"]


def rows(result: Fidelity, found: Sequence[dict[str, Any]]) -> list[list[str]]:
    """One row a set of generated crops, and the floor; "as the floor" is by as many crops as that has."""
    floor = f"{result.floor[result.key]:.2f}"
    made = [
        [
            point["name"],
            "-" if point["kimg"] is None else f"{point['kimg']:g}",
            f"{point['real']:,} / {point['fake']:,}",
            f"{point[result.key]:.2f}",
            f"{point['same_number'][result.key]:.2f}",
            *_others(result, point),
        ]
        for point in found
    ]
    sizes = f"{result.floor['real']:,} / {result.floor['fake']:,}"
    return [*made, ["floor: real / other real", "-", sizes, floor, floor, *_others(result, result.floor)]]


def _others(result: Fidelity, figures: dict[str, Any]) -> list[str]:
    kid = figures[result.kid_key]
    return [
        f"{1000 * kid['mean']:.2f} ± {1000 * kid['sd']:.2f}",
        f"{100 * figures['precision']:.1f}",
        f"{100 * figures['recall']:.1f}",
    ]


def comparison_rows(groups: Sequence[Sequence[Fidelity]]) -> list[list[str]]:
    """The published values, then the last point of each protocol and its floor."""
    published = [[name, f"{value:.2f}", "Market-1501", source] for name, value, source in PUBLISHED]
    ours = []
    for group in groups:
        result, last = group[0], points(group)[-1]
        height, width = result.facts["size"]
        where = f"{result.facts['dataset']}, {result.config['split']}, {height}x{width}"
        counts = f"{last['real']:,} real against {last['fake']:,} generated crops"
        ours += [
            [f"{result.measure} of {last['name']}", f"{last[result.key]:.2f}", where, counts],
            [
                "its floor",
                f"{result.floor[result.key]:.2f}",
                where,
                f"{result.floor['real']:,} real against {result.floor['fake']:,} other real crops",
            ],
        ]
    return [*published, *ours]


def _published(groups: Sequence[Sequence[Fidelity]]) -> Markup:
    found = [
        [name, tag("span", where), tag("span", source), value] for name, value, where, source in comparison_rows(groups)
    ]
    return join(
        [
            tag("h3", "Beside the published values (not comparable)"),
            table(["generator", "crops", "from, or number of crops", "distance"], found, words=3, rule=len(PUBLISHED)),
            soft("Alvarez-Gonzalez, thesis, table 5.4. ", WHY_NOT),
        ]
    )


def as_json(results: Sequence[Fidelity]) -> list[dict[str, Any]]:
    """Every protocol with its points and its floor as JSON types."""
    return [
        {
            "measure": group[0].measure,
            "points": points(group),
            "floor": group[0].floor,
            "protocol": group[0].protocol,
            "seen": group[0].seen,
        }
        for group in by_protocol(results)
    ]


def answer(results: Sequence[Fidelity]) -> str:
    """One sentence on the last weights of the first protocol."""
    group = by_protocol(results)[0]
    result, last = group[0], points(group)[-1]
    return (
        f"{result.measure} of {last['name']}: {last[result.key]:.2f} ({last['real']:,} real against {last['fake']:,} "
        f"generated crops). Real crops against other real crops reach {result.floor[result.key]:.2f} with "
        f"{result.floor['fake']:,} on each side, where these generated crops have "
        f"{last['same_number'][result.key]:.2f}."
    )
