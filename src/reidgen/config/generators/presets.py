"""Trainings of generators and of encoders that have a name."""

import dataclasses
from typing import Any, Literal, get_args

from reidgen.config.base import require
from reidgen.config.generators.dcgan import DCGANConfig
from reidgen.config.generators.encoder import EncoderConfig
from reidgen.config.generators.stylegan import Network, StyleGANConfig
from reidgen.errors import option

GeneratorConfig = StyleGANConfig | DCGANConfig
Preset = Literal["person-stylegan2", "market-stylegan3-r", "market-stylegan3-t", "dcgan"]


def _market(network: Network) -> StyleGANConfig:
    """The thesis's numbers: batch 16, gamma 2, 5000 kimg, a snapshot every 20 ticks of 4 kimg; the rest is upstream's.

    Alvarez-Gonzalez, thesis, table 5.1, which is of configuration R, and from NVIDIA's weights (`transfer`). Upstream's
    defaults for StyleGAN3: published augmentation pipe, no mirroring, no style mixing (Karras et al. 2021, appendix G).
    """
    return StyleGANConfig(
        network=network,
        channel_base=32768,
        batch=16,
        gamma=2.0,
        kimg=5000,
        snapshot_kimg=80,
        style_mixing=0.0,
        augment="bgc",
        mirror=False,
    )


PRESETS: dict[Preset, GeneratorConfig] = {
    "person-stylegan2": StyleGANConfig(),
    "market-stylegan3-r": _market("stylegan3-r"),
    "market-stylegan3-t": _market("stylegan3-t"),
    "dcgan": DCGANConfig(),
}

EncoderPreset = Literal["person", "thesis"]
ENCODER_PRESETS: dict[EncoderPreset, EncoderConfig] = {
    "person": EncoderConfig(),
    # Alvarez-Gonzalez, thesis, table 5.6 and sections 4.1 and 5.1: 240,000 steps, 732 crops for validation, LPIPS by
    # VGG16, L2 and MoCo. It does not say how these weigh: .8, 1 and .5 are those of the encoder that it took, for all
    # that are not faces (Alaluf et al. 2021 and 2022), as are three passes. Its step 220,000, a snapshot, was used.
    "thesis": EncoderConfig(
        steps=240_000,
        test_crops=732,
        perceptual_backbone="lpips-vgg",
        reid_weight=0.0,
        moco_weight=0.5,
        passes=3,
    ),
}


def generator_preset(name: Preset, **changes: Any) -> GeneratorConfig:
    """The config of a named training, with changes.

    Args:
        name: "person-stylegan2" is recommended for crops of people, "market-stylegan3-r" is Alvarez-Gonzalez's training
            (which started from NVIDIA's weights: `transfer`), "market-stylegan3-t" the same in configuration T, which
            is not theirs, "dcgan" is the baseline that they compare with.
        changes: Fields of its config, such as size=(64, 32).

    Raises:
        ConfigError: The name is unknown, or a change is out of range.
    """
    require(
        name in PRESETS,
        f"{option('preset')} must be one of the allowed names.",
        got=name,
        allowed=", ".join(get_args(Preset)),
    )
    return dataclasses.replace(PRESETS[name], **changes)
