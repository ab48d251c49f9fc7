"""The verbs of `reidgen`. Imports no torch: each verb loads its stage when it is run."""

import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from reidgen.cli_base import CropFiles, Data, DryRun, Encoder, Generator, Judge, Out, Reid, Tensorboard, follow
from reidgen.cli_base import planned as _planned
from reidgen.cli_base import read_table as _read
from reidgen.cli_base import say as _say
from reidgen.cli_generate import GENERATE, generate_people
from reidgen.cli_translate import pairs, train_translator_of
from reidgen.config import (
    ENCODER_PRESETS,
    PRESETS,
    RECIPES,
    TRANSLATOR_PRESETS,
    ConvertConfig,
    EncoderConfig,
    EncoderPreset,
    EvaluateConfig,
    ExportConfig,
    ExtendConfig,
    FidelityConfig,
    FilterConfig,
    GallerySearchConfig,
    InversionConfig,
    PrepareConfig,
    Preset,
    QuickstartConfig,
    Recipe,
    ReidConfig,
    RenderConfig,
    ReportConfig,
    SweepConfig,
)
from reidgen.errors import ConfigError, ReidgenError
from reidgen.files import DISK_FULL

DESCRIPTION = (
    "Grow a person re-identification training set with generated people, and measure honestly whether it helped."
)
EXIT_USER_ERROR, EXIT_INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `reidgen VERB ...`; a user's error is printed and ends with status 2."""
    # Threads that wait for work sleep instead of spinning: on a machine that does something else too, spinning made a
    # training ten times slower (docs/log.md). It has to be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):  # a locale may lack what is printed, and a file's name may be no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _dispatch(given)
    except ReidgenError as error:
        sys.exit(_complain(f"error: {error}", EXIT_USER_ERROR))
    except OSError as error:
        if error.filename is None and error.errno not in DISK_FULL:  # no file of the user's: something of ours
            raise
        name = "A file" if error.filename is None else error.filename
        sys.exit(_complain(f"error: {name} cannot be read or written.\n  got: {error.strerror}", EXIT_USER_ERROR))
    except KeyboardInterrupt:
        sys.exit(_complain("stopped; the same command goes on from the last checkpoint.", EXIT_INTERRUPTED))


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status


def _dispatch(given: list[str]) -> None:
    if given == ["--version"]:
        import reidgen

        _say(f"reidgen {reidgen.__version__}")
    elif given[:1] == ["generate"]:
        _cli(GENERATE, given[1:], "reidgen generate", "Make crops with a trained generator.")
    else:
        preset: Preset = _asked(given, "--preset", PRESETS, "person-stylegan2")
        if given[:1] == ["train-generator"]:
            _check_preset_has(preset, given)
        of_names = {"train-generator": _train_generator_of(preset)}
        of_names["train-encoder"] = _train_encoder_of(_asked(given, "--preset", ENCODER_PRESETS, "person"))
        translator = _asked(given, "--preset", TRANSLATOR_PRESETS, "background")
        of_names["train-translator"] = train_translator_of(translator)
        of_names["train-reid"] = _train_reid_of(_asked(given, "--recipe", RECIPES, "ide"))
        of_names["sweep"] = _sweep_of(_asked(given, "--reid.recipe", RECIPES, "ide"))
        verbs = {**VERBS, **of_names}
        _cli(verbs, given, "reidgen", DESCRIPTION)


def _cli(verbs: dict[str, Callable[..., None]], given: list[str], prog: str, description: str) -> None:
    tyro.extras.subcommand_cli_from_dict(verbs, prog=prog, description=description, args=given)


def quickstart(
    out: Out = Path("quickstart"),
    config: Annotated[QuickstartConfig, arg(name="")] = QuickstartConfig(),
    dry_run: DryRun = False,
) -> None:
    """The whole chain on the shipped rendered people: a few minutes on a CPU, ends with a page."""
    if not _planned(dry_run, "quickstart", config, out=out):
        from reidgen.quickstart import quickstart as run

        _say(f"page: {run(config, out=out)}")


def render(out: Out, config: Annotated[RenderConfig, arg(name="")] = RenderConfig(), dry_run: DryRun = False) -> None:
    """Render 3D people as cameras would see them (extra: render)."""
    if not _planned(dry_run, "render", config, out=out):
        from reidgen.render.people import render_people

        _say(f"{len(render_people(config, out=out)):,} crops in {out}")


def prepare(
    root: Annotated[Path, arg(help="The dataset as it was downloaded.")],
    out: Out,
    config: Annotated[PrepareConfig, arg(name="")] = PrepareConfig(),
    crops: CropFiles = "link",
    dry_run: DryRun = False,
) -> None:
    """Read a dataset, audit it, and write it as a table."""
    if not _planned(dry_run, "prepare", config, root=root, crops=crops, out=out):
        from rich import print as show

        from reidgen.data.findings import Audit
        from reidgen.data.prepare import prepare as run

        table = run(config, root=root, out=out, crops=crops)
        show(Audit.read(out).table())
        _say(f"{len(table):,} crops in {out}")


def _train_generator_of(name: Preset) -> Callable[..., None]:
    """The verb train-generator with the options and defaults of a preset."""

    def train_generator(
        data: Data,
        out: Out,
        preset: Annotated[Preset, arg(help="Named training that gives the other options their defaults.")] = name,
        config: Any = PRESETS[name],
        tensorboard: Tensorboard = False,
        dry_run: DryRun = False,
    ) -> None:
        """Train a generator on the train split; each --preset has options of its own (--preset NAME --help)."""
        if not _planned(dry_run, "train-generator", config, preset=preset, data=data, out=out):
            from reidgen.generators.train import train_generator as run

            follow(tensorboard)
            run(_read(data), config, out=out)
            _say(f"generator: {out / 'generator.safetensors'}")

    train_generator.__annotations__["config"] = Annotated[type(PRESETS[name]), arg(name="")]
    return train_generator


def _asked(given: list[str], option: str, names: Iterable[Any], default: Any) -> Any:
    """The name that a command line gives an option, read before its other options can be: it sets their defaults.

    A wrong one is left to the parser.
    """
    values = [after for before, after in itertools.pairwise(given) if before == option]
    values += [text.removeprefix(f"{option}=") for text in given if text.startswith(f"{option}=")]
    return next((name for name in names if name in values), default)


def _check_preset_has(preset: Preset, given: Sequence[str]) -> None:
    """Raise `ConfigError` for an option that only another preset has; unknown ones are left to the parser."""
    ours = {field.name for field in fields(PRESETS[preset])}
    for text in given:
        name = text.removeprefix("--").removeprefix("no-").partition("=")[0].replace("-", "_")
        others = [other for other, config in PRESETS.items() if name in {field.name for field in fields(config)}]
        if text.startswith("--") and others and name not in ours:
            raise ConfigError(
                f"{text.partition('=')[0]} is no option of --preset {preset}.",
                got=f"--preset {preset}",
                allowed=f"an option of {', '.join(others)}",
                fix=f"reidgen train-generator --preset {preset} --help for its own",
            )


def _train_encoder_of(name: EncoderPreset) -> Callable[..., None]:
    """The verb train-encoder with the defaults of a preset."""

    def train_encoder(
        generator: Generator,
        data: Data,
        out: Out,
        reid: Reid = None,
        preset: Annotated[
            EncoderPreset, arg(help="Named training that gives the other options their defaults.")
        ] = name,
        config: Annotated[EncoderConfig, arg(name="")] = ENCODER_PRESETS[name],
        tensorboard: Tensorboard = False,
        dry_run: DryRun = False,
    ) -> None:
        """Train an encoder from crops of real people to the latent space of a generator."""
        inputs = {"preset": preset, "generator": generator, "data": data, "reid": reid}
        if not _planned(dry_run, "train-encoder", config, **inputs, out=out):
            from reidgen.generators.encoder_training import train_encoder as run
            from reidgen.generators.trained import load_generator
            from reidgen.reid.likeness import load_likeness, load_start

            follow(tensorboard)
            gan = load_generator(generator, device=config.device)
            likeness = load_likeness(config, reid=reid, device=config.device)
            run(_read(data), gan, config, likeness=likeness, start=load_start(config), out=out)
            _say(f"encoder: {out / 'encoder.safetensors'}")

    return train_encoder


def invert(
    generator: Generator,
    data: Data,
    out: Out,
    encoder: Encoder = None,
    reid: Reid = None,
    judge: Judge = None,
    config: Annotated[InversionConfig, arg(name="")] = InversionConfig(),
    dry_run: DryRun = False,
) -> None:
    """Invert real crops in several ways, and put time and error of each side by side."""
    inputs = {"generator": generator, "encoder": encoder, "data": data, "reid": reid, "judge": judge}
    if not _planned(dry_run, "invert", config, **inputs, out=out):
        from reidgen.generators.comparison import compare_inversions as run
        from reidgen.generators.encoder import load_encoder
        from reidgen.generators.trained import load_generator
        from reidgen.reid.likeness import load_frozen_reid, load_likeness

        gan = load_generator(generator, device=config.device)
        opened = load_encoder(encoder, generator=gan) if encoder else None
        likeness = load_likeness(config, reid=reid, device=config.device)
        other = load_frozen_reid(judge, device=config.device) if judge else None
        _say(str(run(_read(data), gan, config, likeness=likeness, encoder=opened, judge=other, out=out)))


def convert(
    weights: Annotated[Positional[Path], arg(help="A .pkl of StyleGAN2-ADA or 3, or a .pt or .pth with its names.")],
    out: Out,
    config: Annotated[ConvertConfig, arg(name="")] = ConvertConfig(),
    dry_run: DryRun = False,
) -> None:
    """Turn weights that were trained elsewhere into a generator of reidgen; nothing in the file is run."""
    if not _planned(dry_run, "convert", config, weights=weights, out=out):
        from reidgen.generators.convert import convert_weights as run

        _say(f"generator: {run(weights, config, out=out).path}")


def filter_crops(
    data: Data,
    out: Out,
    reference: Annotated[Path | None, arg(help="Real crops for thresholds and calibration.")] = None,
    config: Annotated[FilterConfig, arg(name="")] = FilterConfig(),
    crops: CropFiles = "link",
    dry_run: DryRun = False,
) -> None:
    """Score generated crops and record a verdict for each; nothing is deleted."""
    if not _planned(dry_run, "filter", config, data=data, reference=reference, crops=crops, out=out):
        from reidgen.filters.apply import run_filters as run

        real = _read(reference).train if reference else None
        table = run(_read(data), config, reference=real, out=out, crops=crops)
        _say(f"{len(table.kept):,} of {len(table):,} crops kept in {out}")


def extend(
    real: Annotated[Path, arg(help="Table of real (or rendered) crops with train, query and gallery.")],
    generated: Annotated[Path, arg(help="Table of generated crops, filtered or not.")],
    out: Out,
    config: Annotated[ExtendConfig, arg(name="")] = ExtendConfig(),
    crops: CropFiles = "link",
    dry_run: DryRun = False,
) -> None:
    """Add generated people to a real train split."""
    if not _planned(dry_run, "extend", config, real=real, generated=generated, crops=crops, out=out):
        from reidgen.extend import run_extend as run

        table = run(_read(real), _read(generated), config, out=out, crops=crops)
        _say(f"{len(table.train):,} train crops of {table.train.rows['pid'].n_unique():,} people in {out}")


def _train_reid_of(recipe: Recipe) -> Callable[..., None]:
    """The verb train-reid with the defaults of a recipe."""

    def train_reid(
        data: Data,
        out: Out,
        config: Annotated[ReidConfig, arg(name="")] = ReidConfig(recipe=recipe),
        tensorboard: Tensorboard = False,
        dry_run: DryRun = False,
    ) -> None:
        """Train a re-ID network on the train split; --recipe gives the other options their defaults."""
        if not _planned(dry_run, "train-reid", config, data=data, out=out):
            from reidgen.reid.train import train_reid as run

            follow(tensorboard)
            run(_read(data), config, out=out)
            _say(f"re-ID network: {out / 'reid.safetensors'}")

    return train_reid


def evaluate(
    model: Annotated[Path, arg(help="Run folder of train-reid; or of train-encoder, whose w+ are then compared.")],
    data: Data,
    out: Out,
    config: Annotated[EvaluateConfig, arg(name="")] = EvaluateConfig(),
    dry_run: DryRun = False,
) -> None:
    """Rank the gallery for each query: CMC, mAP in both conventions, mINP."""
    if not _planned(dry_run, "evaluate", config, model=model, data=data, out=out):
        from reidgen.evaluate import evaluate_reid as run
        from reidgen.generators.encoder import is_encoder, load_encoder
        from reidgen.reid.embed import load_reid

        load = load_encoder if is_encoder(model) else load_reid
        _say(str(run(load(model, device=config.device), _read(data), config, out=out)))


def _sweep_of(recipe: Recipe) -> Callable[..., None]:
    """The verb sweep, whose trainings have the defaults of a recipe (--reid.recipe)."""

    def sweep(
        real: Annotated[Path, arg(help="Table of real (or rendered) crops with train, query and gallery.")],
        out: Out,
        generated: Annotated[Path | None, arg(help="Table of generated crops, filtered or not.")] = None,
        config: Annotated[SweepConfig, arg(name="")] = SweepConfig(reid=ReidConfig(recipe=recipe)),
        tensorboard: Tensorboard = False,
        dry_run: Annotated[
            FlagCreatePairsOff[bool], arg(help="Print all points and what they cost, and stop.")
        ] = False,
    ) -> None:
        """Train and evaluate every point of a grid with several seeds, in parallel; finished points are kept."""
        from reidgen.sweep.run import describe
        from reidgen.sweep.run import sweep as run

        if dry_run:
            _say(json.dumps(describe(real, config, generated=generated, out=out), indent=2))
        else:
            follow(tensorboard)
            _say(str(run(real, config, generated=generated, out=out)))

    return sweep


def search(
    model: Annotated[Path, arg(help="Run folder of train-reid; or of train-encoder, whose w+ are then compared.")],
    query: Annotated[Path, arg(help="An image, any folder of images, or the folder of a table (its query split).")],
    gallery: Annotated[Path, arg(help="Any folder of images, or the folder of a table (its gallery split).")],
    out: Out,
    config: Annotated[GallerySearchConfig, arg(name="")] = GallerySearchConfig(),
    dry_run: DryRun = False,
) -> None:
    """Find the gallery crops that are nearest to each query: a table and a picture; nobody has to be known."""
    if not _planned(dry_run, "search", config, model=model, query=query, gallery=gallery, out=out):
        from reidgen.engine.run import read_run
        from reidgen.generators.encoder import is_encoder, load_encoder
        from reidgen.reid.embed import load_reid
        from reidgen.search import SHEET, TABLE
        from reidgen.search import search_gallery as run

        load = load_encoder if is_encoder(model) else load_reid
        ranked = run(load(model, device=config.device), query, gallery, config, out=out)
        _say(f"{ranked['query_path'].n_unique():,} queries; picture: {out / SHEET}; table: {out / TABLE}")
        alone = read_run(out)["summary"].get("without_crops", 0)  # earlier versions did not count them
        if alone:
            _say(f"{alone:,} more have no crop that --protocol {config.protocol} leaves them")
        if config.same_above is not None:
            from reidgen.reid.verification import FalseMatches

            said = read_run(out)["summary"]
            rate = FalseMatches(said["pairs_of_two_people"], said["false_matches"])
            _say(f"{said['same']:,} of {len(ranked):,} listed crops count as the query's person (=); {rate}")


def export(
    model: Annotated[Path, arg(help="Run folder of train-reid, or its reid.safetensors.")],
    out: Out,
    config: Annotated[ExportConfig, arg(name="")] = ExportConfig(),
    dry_run: DryRun = False,
) -> None:
    """Write a re-ID network as ONNX, for programs without reidgen; checked with onnxruntime (extra: onnx)."""
    if not _planned(dry_run, "export", config, model=model, out=out):
        from reidgen.reid.embed import load_reid
        from reidgen.reid.export import export_onnx as run

        _say(f"network: {run(load_reid(model, device='cpu'), config, out=out)}")


def fidelity(
    real: Annotated[Path, arg(help="Table of real (or rendered) crops.")],
    out: Out,
    fake: Annotated[Path | None, arg(help="Table of generated crops.")] = None,
    generator: Annotated[Path | None, arg(help="Run folder of train-generator, or weights, to sample from.")] = None,
    config: Annotated[FidelityConfig, arg(name="")] = FidelityConfig(),
    dry_run: DryRun = False,
) -> None:
    """Measure generated crops against real ones: FID, KID, precision, recall, and the floor between real ones."""
    if not _planned(dry_run, "fidelity", config, real=real, fake=fake, generator=generator, out=out):
        from reidgen.fidelity.measure import measure_fidelity as run

        _say(str(run(_read(real), config, fake=fake, generator=generator, out=out)))


def report(
    out: Out,
    baseline: Annotated[tuple[Path, ...], arg(help="Evaluation folders without generated people, one a seed.")] = (),
    extended: Annotated[tuple[Path, ...], arg(help="Evaluation folders with generated people, one a seed.")] = (),
    runs: Annotated[
        tuple[Path, ...], arg(help="Further run folders to show: generator, generated, fidelity, filtered, trainings.")
    ] = (),
    sweep: Annotated[Path | None, arg(help="Folder of a sweep, in place of baseline and extended.")] = None,
    config: Annotated[ReportConfig, arg(name="")] = ReportConfig(),
    dry_run: DryRun = False,
) -> None:
    """Write one self-contained HTML page from run folders."""
    inputs = {"baseline": baseline, "extended": extended, "runs": runs, **({"sweep": sweep} if sweep else {})}
    if _planned(dry_run, "report", config, **inputs, out=out):
        return
    if sweep is None:
        from reidgen.report.page import write_report as run

        _say(f"page: {run(config, baseline=baseline, extended=extended, runs=runs, out=out)}")
        return
    if baseline or extended:
        what = "A page is of a sweep, or of a baseline and extended runs."
        raise ConfigError(what, got="both", allowed="one of them", fix="--sweep alone, with --runs")
    from reidgen.report.sweep_page import write_sweep_report

    _say(f"page: {write_sweep_report(config, sweep=sweep, runs=runs, out=out)}")


VERBS: dict[str, Callable[..., None]] = {
    "quickstart": quickstart,
    "render": render,
    "prepare": prepare,
    "train-generator": _train_generator_of("person-stylegan2"),
    "pairs": pairs,
    "train-translator": train_translator_of("background"),
    "train-encoder": _train_encoder_of("person"),
    "invert": invert,
    "generate": generate_people,
    "convert": convert,
    "filter": filter_crops,
    "extend": extend,
    "train-reid": _train_reid_of("ide"),
    "evaluate": evaluate,
    "search": search,
    "export": export,
    "sweep": _sweep_of("ide"),
    "fidelity": fidelity,
    "report": report,
}
