"""The verbs of `reidgen generate`. Imports no torch: each verb loads its stage when it is run."""

from reidgen.cli.arguments import (
    Data,
    Encoder,
    Generator,
    Inverted,
    Out,
    Reid,
    Rotator,
    Translator,
    crops_of_people,
    read_table,
)
from reidgen.cli.verb import by_name, verb
from reidgen.config import GenerateConfig, GridConfig, RotateConfig, TranslateConfig, VariantsConfig, WalkConfig


@verb("generate people", GenerateConfig())
def people(generator: Generator, out: Out, config: GenerateConfig) -> str:
    """Generate new people and, by mixing styles in a group of layers, variants of each."""
    from reidgen.generators.people.people import generate_people as run
    from reidgen.generators.trained import load_generator

    return crops_of_people(run(load_generator(generator), config, out=out), out)


@verb("generate variants", VariantsConfig())
def variants(
    generator: Generator,
    data: Data,
    out: Out,
    config: VariantsConfig,
    encoder: Encoder = None,
    reid: Reid = None,
    inverted: Inverted = None,
) -> str:
    """Generate variants of the real people of the train split."""
    from reidgen.generators.inversion.encoder import load_encoder
    from reidgen.generators.inversion.likeness import load_likeness
    from reidgen.generators.people.variants import generate_variants as run
    from reidgen.generators.trained import load_generator

    gan = load_generator(generator, device=config.device)
    opened = load_encoder(encoder, generator=gan) if encoder else None
    searches = config.invert in ("optimise", "pivotal")
    likeness = load_likeness(config, reid=reid, device=config.device) if searches else None
    table = run(gan, read_table(data), config, encoder=opened, likeness=likeness, inverted=inverted, out=out)
    return crops_of_people(table, out)


@verb("generate translate", TranslateConfig())
def translate(translator: Translator, data: Data, out: Out, config: TranslateConfig) -> str:
    """Show the people of the train split in another camera's style and place."""
    from reidgen.generators.translation.translate import translate as run
    from reidgen.generators.translation.translator import load_translators

    return crops_of_people(
        run(load_translators(translator, device=config.device), read_table(data), config, out=out), out
    )


@verb("generate rotate", RotateConfig())
def rotate(rotator: Rotator, data: Data, out: Out, config: RotateConfig) -> str:
    """Show the people of the train split from other sides."""
    from reidgen.generators.views.rotate import rotate as run
    from reidgen.generators.views.trained_rotator import load_rotator

    return crops_of_people(run(load_rotator(rotator, device=config.device), read_table(data), config, out=out), out)


@verb("generate video", WalkConfig())
def video(generator: Generator, out: Out, config: WalkConfig) -> str:
    """Generate a looping video (WebP or MP4) of walks from person to person, or from a person to its variants."""
    from reidgen.generators.pictures.video import generate_video as run
    from reidgen.generators.trained import load_generator

    return f"video: {run(load_generator(generator), config, out=out)}"


@verb("generate grid", GridConfig())
def grid(generator: Generator, out: Out, config: GridConfig) -> str:
    """Generate a labelled picture: people and their variants, style mixing tables, or truncation."""
    from reidgen.generators.pictures.grids import generate_grid as run
    from reidgen.generators.trained import load_generator

    return f"picture: {run(load_generator(generator), config, out=out)}"


GENERATE = by_name(people, variants, translate, rotate, video, grid)
