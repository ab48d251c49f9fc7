"""The verbs of `reidgen generate`. Imports no torch: each verb loads its stage when it is run."""

from collections.abc import Callable
from typing import Annotated

from tyro.conf import arg

from reidgen.cli_base import Data, DryRun, Encoder, Generator, Inverted, Out, Reid, planned, read_table, say
from reidgen.cli_translate import generate_translate
from reidgen.config import GenerateConfig, GridConfig, VariantsConfig, WalkConfig


def generate_people(
    generator: Generator,
    out: Out,
    config: Annotated[GenerateConfig, arg(name="")] = GenerateConfig(),
    dry_run: DryRun = False,
) -> None:
    """Generate new people and, by mixing styles in a group of layers, variants of each."""
    if not planned(dry_run, "generate people", config, generator=generator, out=out):
        from reidgen.generators.people import generate_people as run
        from reidgen.generators.trained import load_generator

        table = run(load_generator(generator), config, out=out)
        say(f"{len(table):,} crops of {table.rows['pid'].n_unique():,} people in {out}")


def generate_variants(
    generator: Generator,
    data: Data,
    out: Out,
    encoder: Encoder = None,
    reid: Reid = None,
    inverted: Inverted = None,
    config: Annotated[VariantsConfig, arg(name="")] = VariantsConfig(),
    dry_run: DryRun = False,
) -> None:
    """Generate variants of the real people of the train split."""
    inputs = {"generator": generator, "encoder": encoder, "data": data, "reid": reid, "inverted": inverted}
    if not planned(dry_run, "generate variants", config, **inputs, out=out):
        from reidgen.generators.encoder import load_encoder
        from reidgen.generators.trained import load_generator
        from reidgen.generators.variants import generate_variants as run
        from reidgen.reid.likeness import load_likeness

        gan = load_generator(generator, device=config.device)
        opened = load_encoder(encoder, generator=gan) if encoder else None
        searches = config.invert in ("optimise", "pivotal")
        likeness = load_likeness(config, reid=reid, device=config.device) if searches else None
        table = run(gan, read_table(data), config, encoder=opened, likeness=likeness, inverted=inverted, out=out)
        say(f"{len(table):,} crops of {table.rows['pid'].n_unique():,} people in {out}")


def generate_video(
    generator: Generator,
    out: Out,
    config: Annotated[WalkConfig, arg(name="")] = WalkConfig(),
    dry_run: DryRun = False,
) -> None:
    """Generate a looping video (WebP or MP4) of walks from person to person, or from a person to its variants."""
    if not planned(dry_run, "generate video", config, generator=generator, out=out):
        from reidgen.generators.trained import load_generator
        from reidgen.generators.video import generate_video as run

        say(f"video: {run(load_generator(generator), config, out=out)}")


def generate_grid(
    generator: Generator,
    out: Out,
    config: Annotated[GridConfig, arg(name="")] = GridConfig(),
    dry_run: DryRun = False,
) -> None:
    """Generate a labelled picture: people and their variants, style mixing tables, or truncation."""
    if not planned(dry_run, "generate grid", config, generator=generator, out=out):
        from reidgen.generators.grids import generate_grid as run
        from reidgen.generators.trained import load_generator

        say(f"picture: {run(load_generator(generator), config, out=out)}")


GENERATE: dict[str, Callable[..., None]] = {
    "people": generate_people,
    "variants": generate_variants,
    "translate": generate_translate,
    "video": generate_video,
    "grid": generate_grid,
}
