"""The part of the page about trainings without labels: what their clusters were worth, epoch by epoch."""

from reidgen.report.evidence import Evidence
from reidgen.report.folders import UNSUPERVISED, Run
from reidgen.report.html.figures import Line, chart
from reidgen.report.html.markup import Markup, section, soft, tag

SHARES = {
    "purity": "Purity, %",
    "nmi": "Mutual information, %",
    "agreement": "Agreement of parts, %",
    "stability": "Stability, %",
    "test_mAP": "mAP of a look at the test crops, %",
}


def clusters(evidence: Evidence) -> Markup | None:
    """Clusters, outliers, purity and mutual information over the epochs; labels were for these figures alone."""
    runs = [run for run in evidence.runs if run.kind == UNSUPERVISED]
    if not runs:
        return None
    return section(
        "Learned without labels",
        soft(
            "No weight depends on a label, on purity, mutual information or a look at the test crops: they are for the "
            "eye. A broken line is the number of people, which the clusters should come near to."
        ),
        *(_training(run, number) for number, run in enumerate(runs)),
    )


def _training(run: Run, number: int) -> Markup:
    config, facts, records = run.record["config"], run.record["summary"], run.metrics
    epochs = [record["epoch"] for record in records]
    counted = [Line(epochs, [record["clusters"] for record in records])]
    if "people" in records[-1]:
        counted.append(Line(epochs, [record["people"] for record in records], "other", dashed=True))
    drawn = [
        chart("Clusters", counted, xlabel="epoch", name=f"clusters{number}-count"),
        chart(
            "Outliers, crops",
            [Line(epochs, [record["outliers"] for record in records])],
            xlabel="epoch",
            name=f"clusters{number}-outliers",
        ),
    ]
    for name, title in SHARES.items():
        known = [record for record in records if record.get(name) is not None]
        if known:
            line = Line([record["epoch"] for record in known], [100 * record[name] for record in known])
            drawn.append(chart(title, [line], xlabel="epoch", name=f"clusters{number}-{name}"))
    collapsed = (
        f" The clusters collapsed {facts['collapsed']}; the weights before are kept." if "collapsed" in facts else ""
    )
    length = f"{facts['epochs']} epochs of {config['epoch_steps']} steps, {config['backbone']}.{collapsed}"
    return tag(
        "div", tag("h3", f"{run.path.name}: {config['recipe']}"), soft(length), tag("div", *drawn, class_="plots")
    )
