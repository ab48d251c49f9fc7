"""Trainings of generators that have a name."""

import dataclasses
from typing import Any, Literal, get_args

from reidgen.config.base import require
from reidgen.config.generators import DCGANConfig, GeneratorConfig, Network, StyleGANConfig

Preset = Literal["person-stylegan2", "market-stylegan3-r", "market-stylegan3-t", "dcgan"]


def _market(network: Network) -> StyleGANConfig:
    """The sources' command: batch 16, gamma 2, 5000 kimg, a snapshot every 20 ticks of 4 kimg; the rest is upstream's.

    Alvarez-Gonzalez et al., *GANs for data augmentation in person re-identification*, section 3.1. Upstream's defaults
    for StyleGAN3: published augmentation pipe, no mirroring, no style mixing (Karras et al. 2021, appendix G).
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


def generator_preset(name: Preset, **changes: Any) -> GeneratorConfig:
    """The config of a named training, with changes.

    Args:
        name: "person-stylegan2" is recommended for crops of people, "market-stylegan3-r" and "-t" are the sources'
            training, "dcgan" is the baseline that they compare with.
        changes: Fields of its config, such as size=(64, 32).

    Raises:
        ConfigError: The name is unknown, or a change is out of range.
    """
    require(name in PRESETS, "There is no such --preset.", got=name, allowed=", ".join(get_args(Preset)))
    return dataclasses.replace(PRESETS[name], **changes)
