"""What the trainings of all translators share beside what all with adversaries do: crops, cuts and noise."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from reidgen.config.generators.translation import TranslatorConfig
from reidgen.data.augment.draws import places
from reidgen.engine.devices.device import Fabric
from reidgen.generators.training.adversarial import AdversarialTraining
from reidgen.generators.translation.domain_crops import Crops, Moves
from reidgen.generators.translation.networks import GENERATOR, build_networks
from reidgen.models.reid.ghost_norm import use_parts
from reidgen.models.translation.unet import KEPT, UNet


class TranslatorTraining(AdversarialTraining):
    """A training of a translator; where its networks normalise over the batch, several processes need `norm_batch`.

    Attributes:
        crops: What it learns from.
    """

    KIND: ClassVar = "translator"
    SHEET: ClassVar = "translated"

    def __init__(self, config: TranslatorConfig, fabric: Fabric, crops: Crops) -> None:
        self.crops = crops
        networks = build_networks(config, len(crops.cameras))
        if config.norm_batch is not None:
            for network in networks.values():
                use_parts(network, config.norm_batch)
        super().__init__(config, fabric, networks)

    @property
    def generator(self) -> nn.Module:
        """The network that translates."""
        return self.networks[GENERATOR]

    def moves(self, side: str = "") -> Moves:
        """How this process's crops of the batch are shown."""
        config, random = self.config, self.random(f"moves {side}")
        drawn = torch.rand((config.batch, 3), generator=random)[self.own]
        mirrored = drawn[:, 0] < 0.5 if config.mirror else None
        cut = None if config.enlarge == 1 else places(drawn[:, 1:], config.size, config.enlarge)
        return Moves(mirrored, cut, config.enlarge)

    def noise(self, count: int, random: torch.Generator) -> list[Tensor]:
        """What the U-Net's dropout keeps of the maps of `count` crops."""
        shapes = self.generator.noise_shapes if isinstance(self.generator, UNet) else []
        return [(torch.rand((count, *shape), generator=random) < KEPT).to(self.fabric.device) for shape in shapes]
