"""The verbs about pairs of cameras. Imports no torch: each verb loads its stage when it is run."""

from collections.abc import Callable
from typing import Annotated

from tyro.conf import arg

from reidgen.cli_base import Data, DryRun, Out, Tensorboard, Translator, follow, planned, read_table, say
from reidgen.config import PairsConfig, TranslateConfig, TranslatorConfig, TranslatorPreset


def pairs(
    data: Data,
    out: Out,
    config: Annotated[PairsConfig, arg(name="")] = PairsConfig(),
    dry_run: DryRun = False,
) -> None:
    """Count for each two cameras the pairs of crops that show one person, and whom only one of them saw: pairs.csv."""
    if not planned(dry_run, "pairs", config, data=data, out=out):
        from reidgen.data.pairs import TABLE, in_words, write_pairs

        counts = write_pairs(read_table(data), config, out=out)
        say(f"{in_words(counts)}\ntable: {out / TABLE}")


def train_translator_of(preset: TranslatorPreset) -> Callable[..., None]:
    """The verb train-translator with the defaults of a preset."""

    def train_translator(
        data: Data,
        out: Out,
        config: Annotated[TranslatorConfig, arg(name="")] = TranslatorConfig(preset=preset),
        tensorboard: Tensorboard = False,
        dry_run: DryRun = False,
    ) -> None:
        """Train a network that shows people as another camera would; --preset gives the defaults of its options."""
        if not planned(dry_run, "train-translator", config, data=data, out=out):
            from reidgen.generators.translation import train_translator as stage

            follow(tensorboard)
            if config.family == "cycle" and config.source is None:
                say(f"{len(stage.train_translators(read_table(data), config, out=out))} translators in {out}")
            else:
                say(f"translator: {stage.train_translator(read_table(data), config, out=out).path}")

    return train_translator


def generate_translate(
    translator: Translator,
    data: Data,
    out: Out,
    config: Annotated[TranslateConfig, arg(name="")] = TranslateConfig(),
    dry_run: DryRun = False,
) -> None:
    """Show the people of the train split in another camera's style and place."""
    if not planned(dry_run, "generate translate", config, translator=translator, data=data, out=out):
        from reidgen.generators.translation.translate import translate
        from reidgen.generators.translation.translator import load_translators

        table = translate(load_translators(translator, device=config.device), read_table(data), config, out=out)
        say(f"{len(table):,} crops of {table.rows['pid'].n_unique():,} people in {out}")
