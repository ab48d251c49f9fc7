"""The networks of a translator's config, and what they are given to see."""

import torch
from torch import Tensor, nn

from reidgen.config.generators.translation import TranslatorConfig
from reidgen.engine.devices.device import derive_seed
from reidgen.models.translation.label_discriminator import LabelDiscriminator
from reidgen.models.translation.patch import PatchDiscriminator, most_layers
from reidgen.models.translation.residual import ResidualGenerator, usual_blocks
from reidgen.models.translation.siamese import SimilarityNetwork
from reidgen.models.translation.unet import UNet

GENERATOR, BACK = "generator", "back"  # source to target, and the way back
PLANES = {"image": 3, "image-mask": 4, "image-masks": 5}


def build_generator(config: TranslatorConfig, cameras: int) -> nn.Module:
    """The network that translates, with random weights.

    Args:
        config: Of the translator.
        cameras: How many a network for all cameras knows.
    """
    if config.family == "paired":
        planes = PLANES[config.sees]
        return UNet(planes, size=config.size, width=config.width, depth=config.depth, norm=config.norm)
    blocks = usual_blocks(config.size) if config.blocks is None else config.blocks
    if config.family == "cycle":
        return ResidualGenerator(width=config.width, blocks=blocks)
    return ResidualGenerator(3 + cameras, width=config.width, blocks=blocks, kind="stargan")


def build_networks(config: TranslatorConfig, cameras: int) -> nn.ModuleDict:
    """All networks of a training, with random weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("translator weights", config.seed))
        networks = {GENERATOR: build_generator(config, cameras)}
        if config.family == "paired":
            networks["discriminator"] = _patches(config, _judged(config) + 3)
        elif config.family == "domains":
            networks["discriminator"] = LabelDiscriminator(cameras, size=config.size, width=config.width)
        else:
            networks[BACK] = build_generator(config, cameras)
            networks |= {name: _patches(config, 3) for name in ("of_target", "of_source")}
            if config.similarity_weight:
                networks["similarity"] = SimilarityNetwork(config.size, width=config.width)
    return nn.ModuleDict(networks)


def seen_by_generator(config: TranslatorConfig, crops: Tensor, mask: Tensor | None, pose: Tensor | None) -> Tensor:
    """The crops (N, 3, H, W) with the masks (N, 1, H, W), 0 to 1, that the U-Net sees, as planes from -1 to 1.

    Args:
        config: Says which of them it sees.
        crops: Of the source.
        mask: Of the source's people.
        pose: That the people shall have.
    """
    planes = [mask, pose][: PLANES[config.sees] - 3]
    return torch.cat([crops, *[2 * plane - 1 for plane in planes if plane is not None]], dim=1)


def seen_by_discriminator(
    config: TranslatorConfig, seen: Tensor, mask: Tensor | None, target_mask: Tensor | None
) -> Tensor:
    """What the discriminator sees of the input: all that the generator does, or the place without both people.

    Kolbeinsson 2019, equation 6, writes the product of both masks where its text says that the background alone is
    left: we do what the text says, with both masks inverted as in equation 8. A hole in the shape of the source's
    person alone would tell made crops from real ones.

    Args:
        config: Says which.
        seen: By the generator, crops first, (N, C, H, W).
        mask: Of the source's people, (N, 1, H, W).
        target_mask: Of the people of the target crops.
    """
    if config.judged_by == "everything" or mask is None or target_mask is None:
        return seen
    return seen[:, :3] * (1 - mask) * (1 - target_mask)


def _judged(config: TranslatorConfig) -> int:
    return PLANES[config.sees] if config.judged_by == "everything" else 3


def _patches(config: TranslatorConfig, channels: int) -> PatchDiscriminator:
    layers = most_layers(config.size) if config.patch_layers is None else config.patch_layers
    return PatchDiscriminator(channels, width=config.width, layers=layers, norm=config.norm)
