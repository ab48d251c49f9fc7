"""What stands in for a training where nothing is learned: the backgrounds of the target that people are laid on."""

import numpy as np
import torch

from reidgen.config.generators.translation import TranslatorConfig
from reidgen.generators.translation.domain_crops import Crops, check_camera
from reidgen.models.translation.paste import Paste, backgrounds


def make_paste(config: TranslatorConfig, crops: Crops) -> Paste:
    """A network that lays people on up to `kept` backgrounds of the target, drawn at random.

    Args:
        config: Which camera, how its people are filled, how many are kept.
        crops: With masks.

    Raises:
        DataError: The target has too few crops.
    """
    assert config.target is not None
    rows = check_camera(crops.table, config.target)
    if config.backgrounds != "mean":  # which is of all crops
        chosen = np.random.default_rng(config.seed).choice(len(rows), min(config.kept, len(rows)), replace=False)
        rows = rows[np.sort(chosen)]
    masks = crops.people(rows)
    assert masks is not None
    filled = backgrounds(crops.pictures.batch(rows).float(), masks, config.backgrounds)
    network = Paste(len(filled), config.size)
    network.backgrounds.copy_(filled.round().clamp(0, 255).to(torch.uint8))
    return network
