"""The verbs that make, read, judge and join tables of crops. Imports no torch: each loads its stage when it is run."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from reidgen.cli.arguments import CropFiles, Data, Out, Real, read_table
from reidgen.cli.verb import by_name, verb
from reidgen.config import (
    AnnotateConfig,
    ExtendConfig,
    FilterConfig,
    PairsConfig,
    PrepareConfig,
    QuickstartConfig,
    RenderConfig,
)


@verb("quickstart", QuickstartConfig())
def quickstart(config: QuickstartConfig, out: Out = Path("quickstart")) -> str:
    """What generated people add to thirty labelled ones, in a few minutes on a CPU; ends with a page."""
    from reidgen.quickstart import quickstart as run

    return f"page: {run(config, out=out)}"


@verb("render", RenderConfig())
def render(out: Out, config: RenderConfig) -> str:
    """Render 3D people as cameras would see them (extra: render)."""
    from reidgen.render.dataset import render_people

    return f"{len(render_people(config, out=out)):,} crops in {out}"


@verb("prepare", PrepareConfig())
def prepare(
    root: Annotated[Path, arg(help="The dataset as it was downloaded.")],
    out: Out,
    config: PrepareConfig,
    crops: CropFiles = "link",
) -> str:
    """Read a dataset, audit it, and write it as a table."""
    from rich import print as show

    from reidgen.data.audit.findings import Audit
    from reidgen.data.prepare import prepare as run

    table = run(config, root=root, out=out, crops=crops)
    show(Audit.read(out).table())
    return f"{len(table):,} crops in {out}"


@verb("annotate", AnnotateConfig())
def annotate(data: Data, out: Out, config: AnnotateConfig, crops: CropFiles = "link") -> str:
    """Add to each crop what is seen of its person: mask, key points, heading (yaw), body, pictures of it (mesh)."""
    from reidgen.annotate.columns import in_words
    from reidgen.annotate.run import annotate as run
    from reidgen.engine.runs.run import read_run

    run(read_table(data), config, out=out, crops=crops)
    return f"{in_words(read_run(out)['summary'])}\ntable: {out}"


@verb("pairs", PairsConfig())
def pairs(data: Data, out: Out, config: PairsConfig) -> str:
    """Count, for any two cameras, pairs of crops of one person, and crops of people whom only one camera saw."""
    from reidgen.data.pairs import TABLE, in_words, write_pairs

    return f"{in_words(write_pairs(read_table(data), config, out=out))}\ntable: {out / TABLE}"


@verb("filter", FilterConfig())
def filter_crops(
    data: Data,
    out: Out,
    config: FilterConfig,
    reference: Annotated[Path | None, arg(help="Real crops for thresholds and calibration.")] = None,
    crops: CropFiles = "link",
) -> str:
    """Score generated crops and record a verdict for each; nothing is deleted."""
    from reidgen.filters.apply import run_filters as run

    real = read_table(reference).train if reference else None
    table = run(read_table(data), config, reference=real, out=out, crops=crops)
    return f"{len(table.kept):,} of {len(table):,} crops kept in {out}"


@verb("extend", ExtendConfig())
def extend(
    real: Real,
    generated: Annotated[Path, arg(help="Table of generated crops, filtered or not.")],
    out: Out,
    config: ExtendConfig,
    crops: CropFiles = "link",
) -> str:
    """Add generated people to a real train split."""
    from reidgen.extend import run_extend as run

    table = run(read_table(real), read_table(generated), config, out=out, crops=crops)
    return f"{len(table.train):,} train crops of {table.train.rows['pid'].n_unique():,} people in {out}"


MADE = by_name(quickstart, render, prepare, annotate, pairs)
JUDGED = by_name(filter_crops, extend)
