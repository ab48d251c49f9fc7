"""Early warnings of a GAN training that goes wrong, read from one record of its figures."""

from collections.abc import Mapping
from typing import Literal

from reidgen.config import GeneratorConfig, StyleGANConfig
from reidgen.errors import option

Diagnosis = Literal["", "collapse", "overfitting", "discriminator ahead"]
GRACE_KIMG = 50  # a random start is grey for a while
COLLAPSED, RUNAWAY, HIGH_P, ABOVE_TARGET = 0.3, 30.0, 0.85, 0.2

MEANING: dict[Diagnosis, str] = {
    "collapse": "the fakes of a batch differ much less from one another than the real crops do.",
    "overfitting": "the discriminator knows the training crops by heart.",
    "discriminator ahead": "its logits for real and fake crops are very far apart.",
}
ADVICE: dict[Diagnosis, str] = {
    "collapse": f"a larger {option('gamma')}, a lower {option('lr_generator')}, more crops, or an earlier snapshot "
    f"with {option('transfer')}",
    "overfitting": f"the last good snapshot, more crops, {option(augment='person')}, a smaller "
    f"{option('channel_base')}, or {option('transfer')} from a larger set",
    "discriminator ahead": f"a larger {option('gamma')} or a lower {option('lr_discriminator')}",
}
DCGAN_ADVICE: dict[Diagnosis, str] = {
    "collapse": f"a lower {option('lr')}, more crops, an earlier snapshot, or {option(preset='person-stylegan2')}",
    "discriminator ahead": f"a lower {option('lr')}, or {option(preset='person-stylegan2')}, whose discriminator is "
    "held back",
}


def advice(diagnosis: Diagnosis, config: GeneratorConfig) -> str:
    """What a diagnosis means, and what to try with the options of that training."""
    ways = ADVICE if isinstance(config, StyleGANConfig) else DCGAN_ADVICE
    return f"{MEANING[diagnosis]} Try {ways[diagnosis]}."


def diagnose(figures: Mapping[str, float], config: GeneratorConfig) -> Diagnosis:
    """What is wrong, by the figures of one log record; empty if nothing is.

    collapse: the spread of the fakes is under 0.3 of the reals' after 50 kimg. overfitting (of style generators; a
    DCGAN has no heuristic for it): r_t stays 0.2 above its target while p is at 0.85 or more, or is switched off.
    discriminator ahead: mean logits are more than 30 apart.
    """
    style = config if isinstance(config, StyleGANConfig) else None
    settled = figures["kimg"] > GRACE_KIMG or (style is not None and style.transfer is not None)
    if settled and figures["spread_fake"] < COLLAPSED * figures["spread_real"]:
        return "collapse"
    helpless = style is not None and (style.augment == "none" or figures["ada_p"] >= HIGH_P)
    if style is not None and settled and helpless and figures["r_t"] > style.ada_target + ABOVE_TARGET:
        return "overfitting"
    return "discriminator ahead" if figures["d_real"] - figures["d_fake"] > RUNAWAY else ""
