"""The verbs that train generators and encoders, compare inversions and read weights. No torch before they run."""

from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from reidgen.cli.arguments import Data, Encoder, Generator, Judge, Out, Reid, read_table
from reidgen.cli.verb import Named, by_name, verb
from reidgen.config import (
    ENCODER_PRESETS,
    PRESETS,
    TRANSLATOR_PRESETS,
    ConvertConfig,
    EncoderConfig,
    EncoderPreset,
    InversionConfig,
    Preset,
    RotatorConfig,
    TranslatorConfig,
)

PRESET = arg(help="Named training that gives the other options their defaults.")
GENERATORS = Named(option="--preset", names=PRESETS, first="person-stylegan2", config=PRESETS.__getitem__)
ENCODERS = Named(option="--preset", names=ENCODER_PRESETS, first="person", config=ENCODER_PRESETS.__getitem__)
TRANSLATORS = Named(
    option="--preset",
    names=TRANSLATOR_PRESETS,
    first="background",
    config=lambda preset: TranslatorConfig(preset=preset),
)


@verb("train-generator", GENERATORS, trains=True)
def train_generator(data: Data, out: Out, preset: Annotated[Preset, PRESET], config: Any) -> str:
    """Train a generator on the train split; each --preset has options of its own (--preset NAME --help)."""
    from reidgen.generators.training.train import train_generator as run

    run(read_table(data), config, out=out)
    return f"generator: {out / 'generator.safetensors'}"


@verb("train-encoder", ENCODERS, trains=True)
def train_encoder(
    generator: Generator,
    data: Data,
    out: Out,
    preset: Annotated[EncoderPreset, PRESET],
    config: EncoderConfig,
    reid: Reid = None,
) -> str:
    """Train an encoder from crops of real people to the latent space of a generator."""
    from reidgen.generators.inversion.encoder import load_start
    from reidgen.generators.inversion.encoder_training import train_encoder as run
    from reidgen.generators.inversion.likeness import load_likeness
    from reidgen.generators.trained import load_generator

    gan = load_generator(generator, device=config.device)
    likeness = load_likeness(config, reid=reid, device=config.device)
    run(read_table(data), gan, config, likeness=likeness, start=load_start(config), out=out)
    return f"encoder: {out / 'encoder.safetensors'}"


@verb("train-translator", TRANSLATORS, trains=True)
def train_translator(data: Data, out: Out, config: TranslatorConfig) -> str:
    """Train a network that shows people as another camera would. --preset gives the other options their defaults."""
    from reidgen.generators.translation import train_translator as stage

    if config.family == "cycle" and config.source is None:
        return f"{len(stage.train_translators(read_table(data), config, out=out))} translators in {out}"
    return f"translator: {stage.train_translator(read_table(data), config, out=out).path}"


@verb("train-rotator", RotatorConfig(), trains=True)
def train_rotator(data: Data, out: Out, config: RotatorConfig) -> str:
    """Train a network that shows people from other sides (annotate --what body mesh), or in the pose of others."""
    from reidgen.generators.views.train_rotator import train_rotator as run

    return f"rotator: {run(read_table(data), config, out=out).path}"


@verb("invert", InversionConfig())
def invert(
    generator: Generator,
    data: Data,
    out: Out,
    config: InversionConfig,
    encoder: Encoder = None,
    reid: Reid = None,
    judge: Judge = None,
) -> str:
    """Invert real crops in several ways, and put time and error of each side by side."""
    from reidgen.backbones.frozen import load_frozen_reid
    from reidgen.generators.inversion.comparison import compare_inversions as run
    from reidgen.generators.inversion.encoder import load_encoder
    from reidgen.generators.inversion.likeness import load_likeness
    from reidgen.generators.trained import load_generator

    gan = load_generator(generator, device=config.device)
    opened = load_encoder(encoder, generator=gan) if encoder else None
    likeness = load_likeness(config, reid=reid, device=config.device)
    other = load_frozen_reid(judge, device=config.device) if judge else None
    return str(run(read_table(data), gan, config, likeness=likeness, encoder=opened, judge=other, out=out))


@verb("convert", ConvertConfig())
def convert(
    weights: Annotated[Positional[Path], arg(help="A .pkl of StyleGAN2-ADA or 3, or a .pt or .pth with its names.")],
    out: Out,
    config: ConvertConfig,
) -> str:
    """Turn weights that were trained elsewhere into a generator of reidgen; nothing in the file is run."""
    from reidgen.generators.transfer.convert import convert_weights as run

    return f"generator: {run(weights, config, out=out).path}"


TRAINED = by_name(train_generator, train_encoder, train_translator, train_rotator, invert, convert)
