"""The verbs about re-ID networks and what they show. Imports no torch: each loads its stage when it is run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from reidgen.cli.arguments import Data, Model, Out, Real, read_table
from reidgen.cli.verb import Named, by_name, verb
from reidgen.config import (
    RECIPES,
    UNSUPERVISED_RECIPES,
    EvaluateConfig,
    ExportConfig,
    FidelityConfig,
    GallerySearchConfig,
    ReidConfig,
    ReportConfig,
    SweepConfig,
    UnsupervisedConfig,
    ViewConfig,
)
from reidgen.config.base import Device
from reidgen.errors import ConfigError

if TYPE_CHECKING:
    from reidgen.backbones.reid_model import ReidModel
    from reidgen.generators.inversion.encoder import TrainedEncoder

RECIPE = Named(option="--recipe", names=RECIPES, first="ide", config=lambda recipe: ReidConfig(recipe=recipe))
CLUSTERING = Named(
    option="--recipe",
    names=UNSUPERVISED_RECIPES,
    first="pplr",
    config=lambda recipe: UnsupervisedConfig(recipe=recipe),
)
SWEPT = Named(
    option="--reid.recipe",
    names=RECIPES,
    first="ide",
    config=lambda recipe: SweepConfig(reid=ReidConfig(recipe=recipe)),
)
MEASURED = Named(
    option="--reid.recipe",
    names=RECIPES,
    first="ide",
    config=lambda recipe: SweepConfig(preset="worth", seeds=5, reid=ReidConfig(recipe=recipe)),
)
Fakes = Annotated[Path | None, arg(help="Table of generated crops, filtered or not.")]


@verb("train-reid", RECIPE, trains=True)
def train_reid(data: Data, out: Out, config: ReidConfig) -> str:
    """Train a re-ID network on the train split; --recipe gives the other options their defaults."""
    from reidgen.reid.train import train_reid as run

    run(read_table(data), config, out=out)
    return f"re-ID network: {out / 'reid.safetensors'}"


@verb("train-unsupervised", CLUSTERING, trains=True)
def train_unsupervised(data: Data, out: Out, config: UnsupervisedConfig, generated: Fakes = None) -> str:
    """Train a re-ID network without labels, by clusters of the crops of the train split."""
    from reidgen.reid.unsupervised.train_unsupervised import train_unsupervised as run

    fakes = None if generated is None else read_table(generated)
    run(read_table(data), config, generated=fakes, out=out)
    return f"re-ID network: {out / 'reid.safetensors'}"


@verb("evaluate", EvaluateConfig())
def evaluate(model: Model, data: Data, out: Out, config: EvaluateConfig) -> str:
    """Rank the gallery for each query: CMC, mAP in both conventions, mINP."""
    from reidgen.evaluate import evaluate_reid as run

    return str(run(_opened(model, device=config.device), read_table(data), config, out=out))


@verb("search", GallerySearchConfig())
def search(
    model: Model,
    query: Annotated[Path, arg(help="An image, any folder of images, or the folder of a table (its query split).")],
    gallery: Annotated[Path, arg(help="Any folder of images, or the folder of a table (its gallery split).")],
    out: Out,
    config: GallerySearchConfig,
) -> str:
    """Find the gallery crops that are nearest to each query: a table and a picture; nobody has to be known."""
    from reidgen.engine.runs.run import read_run
    from reidgen.reid.ranking.verification import FalseMatches
    from reidgen.search import SHEET, TABLE
    from reidgen.search import search_gallery as run

    ranked = run(_opened(model, device=config.device), query, gallery, config, out=out)
    told = [f"{ranked['query_path'].n_unique():,} queries; picture: {out / SHEET}; table: {out / TABLE}"]
    known = read_run(out)["summary"]
    alone = known.get("without_crops", 0)  # earlier versions did not count them
    if alone:
        told.append(f"{alone:,} more have no crop that --protocol {config.protocol} leaves them")
    if config.same_above is not None:
        rate = FalseMatches(known["pairs_of_two_people"], known["false_matches"])
        told.append(f"{known['same']:,} of {len(ranked):,} listed crops count as the query's person (=); {rate}")
    return "\n".join(told)


def _opened(model: Path, *, device: Device) -> "ReidModel | TrainedEncoder":
    from reidgen.backbones.reid_model import load_reid
    from reidgen.generators.inversion.encoder import is_encoder, load_encoder

    return load_encoder(model, device=device) if is_encoder(model) else load_reid(model, device=device)


@verb("export", ExportConfig())
def export(
    model: Annotated[Path, arg(help="Run folder of train-reid, or its reid.safetensors.")],
    out: Out,
    config: ExportConfig,
) -> str:
    """Write a re-ID network as ONNX, for programs without reidgen; checked with onnxruntime (extra: onnx)."""
    from reidgen.backbones.reid_model import load_reid
    from reidgen.reid.export import export_onnx as run

    return f"network: {run(load_reid(model, device='cpu'), config, out=out)}"


def _points(real: Path, out: Path, config: SweepConfig, generated: Path | None) -> dict[str, Any]:
    from reidgen.sweep.run import describe

    return describe(real, config, generated=generated, out=out)


@verb("sweep", SWEPT, trains=True, plan=_points, dry_run="Print all points and what they cost, and stop.")
def sweep(real: Real, out: Out, config: SweepConfig, generated: Fakes = None) -> str:
    """Train and evaluate every point of a grid with several seeds, in parallel; finished points are kept."""
    from reidgen.sweep.run import sweep as run

    return str(run(real, config, generated=generated, out=out))


def _worth_points(real: Path, out: Path, config: SweepConfig) -> dict[str, Any]:
    from reidgen.report.sweep.measure import check_worth

    check_worth(config)
    return _points(real, out, config, None)


@verb("worth", MEASURED, trains=True, plan=_worth_points, dry_run="Print all points and what they cost, and stop.")
def worth(real: Real, out: Out, config: SweepConfig) -> str:
    """Measure what arms are worth: how many labelled people the baseline needs for the same mAP; ends with a page."""
    from reidgen.report.page import PAGE
    from reidgen.report.sweep.measure import WORTH_PAGE
    from reidgen.report.sweep.measure import worth as run

    run(real, config, out=out)
    page = out / WORTH_PAGE
    return f"{(page / 'worth.md').read_text(encoding='utf-8')}\npage: {page / PAGE}"


@verb("fidelity", FidelityConfig())
def fidelity(
    real: Annotated[Path, arg(help="Table of real (or rendered) crops.")],
    out: Out,
    config: FidelityConfig,
    fake: Annotated[Path | None, arg(help="Table of generated crops.")] = None,
    generator: Annotated[Path | None, arg(help="Run folder of train-generator, or weights, to sample from.")] = None,
) -> str:
    """Measure generated crops against real ones: FID, KID, precision, recall, and the floor between real ones."""
    from reidgen.fidelity.measure import measure_fidelity as run

    return str(run(read_table(real), config, fake=fake, generator=generator, out=out))


@verb("report", ReportConfig())
def report(
    out: Out,
    config: ReportConfig,
    baseline: Annotated[tuple[Path, ...], arg(help="Evaluation folders without generated people, one a seed.")] = (),
    extended: Annotated[tuple[Path, ...], arg(help="Evaluation folders with generated people, one a seed.")] = (),
    runs: Annotated[
        tuple[Path, ...], arg(help="Further run folders to show: generator, generated, fidelity, filtered, trainings.")
    ] = (),
    sweep: Annotated[Path | None, arg(help="Folder of a sweep, in place of baseline and extended.")] = None,
) -> str:
    """Write one self-contained HTML page from run folders."""
    if sweep is None:
        from reidgen.report.page import write_report as run

        return f"page: {run(config, baseline=baseline, extended=extended, runs=runs, out=out)}"
    if baseline or extended:
        what = "A page is of a sweep, or of a baseline and extended runs."
        raise ConfigError(what, got="both", allowed="one of them", fix="--sweep alone, with --runs")
    from reidgen.report.sweep.sweep_page import write_sweep_report

    return f"page: {write_sweep_report(config, sweep=sweep, runs=runs, out=out)}"


@verb("view", ViewConfig())
def view(
    folders: Annotated[Positional[tuple[Path, ...]], arg(help="Tables and trainings, or folders of such.")],
    config: ViewConfig,
    model: Annotated[tuple[Path, ...], arg(help="Run folders of train-reid, to search; two: side by side.")] = (),
    weights: Annotated[tuple[Path, ...], arg(help="Run folders of generators, to make crops again.")] = (),
    out: Annotated[Path | None, arg(help="Folder of a review: its decisions, and the table with verdicts.")] = None,
) -> str:
    """Serve a page on this machine alone: look through crops, decide on them, follow trainings (extra: view)."""
    from reidgen.view.serve import view as run

    written = run(folders, config, models=model, weights=weights, out=out)
    return "\n".join(f"reviewed table: {folder}" for folder in written) or "ended"


REID = by_name(train_reid, train_unsupervised, evaluate, search, export, sweep, worth, fidelity, report, view)
