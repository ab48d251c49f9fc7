"""Models 1 to 4 and the variable loss: a U-Net and a patch discriminator, on pairs of crops (Kolbeinsson 2019)."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from reidgen.config.generators.translation import TranslatorConfig
from reidgen.engine.devices.device import generator as random_generator
from reidgen.generators.sampling import to_pixels
from reidgen.generators.training.adversarial import SHOWN
from reidgen.generators.training.blur import blur
from reidgen.generators.translation.adversaries import TranslatorTraining
from reidgen.generators.translation.domain_crops import Crops, sampler_of
from reidgen.generators.translation.networks import seen_by_discriminator, seen_by_generator
from reidgen.losses.gan.adversarial import discriminator_loss, generator_loss
from reidgen.losses.images.person_and_place import static_losses, variable_losses
from reidgen.losses.images.reconstruction import absolute_error
from reidgen.models.translation.paste import inpaint, without_people


class PairedTraining(TranslatorTraining):
    """Isola et al. 2017, section 3, with the losses that `held_to` names.

    Attributes:
        sampler: Rows of the pairs of a step.
    """

    NAMES: ClassVar = ("loss_g", "loss_d", "gan", "l1", "foreground", "background", "d_real", "d_fake")
    GROUPS: ClassVar = {"generator": ("generator",), "discriminator": ("discriminator",)}

    def __init__(self, config: TranslatorConfig, fabric: Fabric, crops: Crops) -> None:
        super().__init__(config, fabric, crops)
        self.sampler = sampler_of(crops.table, config)

    def play(self) -> Sequence[Tensor]:
        """The discriminator learns from the batch, half as fast (Isola et al. 2017, 3.3), then the generator."""
        rows, moves = self.sampler.indices(self.step)[self.own], self.moves()
        (source, mask), (target, target_mask) = (
            (self.crops.images(side, moves), self.crops.people(side, moves)) for side in rows.T
        )
        seen = seen_by_generator(self.config, source, mask, target_mask)
        with self.autocast():
            made = self.generator(seen, [one[self.own] for one in self.noise(self.config.batch, self.random("noise"))])
        condition = seen_by_discriminator(self.config, seen, mask, target_mask)
        real_logits, fake_logits = self._judge(condition, target), self._judge(condition, made.detach())
        loss_d = discriminator_loss(real_logits, fake_logits) / 2
        self.move("discriminator", loss_d)
        gan = generator_loss(self._judge(condition, made))
        l1, foreground, background = self._held(made, source, target, mask, target_mask)
        weights = self.config
        held = weights.l1_weight * l1 + weights.foreground_weight * foreground + weights.background_weight * background
        loss_g = weights.gan_weight * gan + held
        self.move("generator", loss_g)
        return loss_g, loss_d, gan, l1, foreground, background, real_logits.mean(), fake_logits.mean()

    @torch.inference_mode()
    def sheet(self) -> np.ndarray:
        """A row a pair: source, two translations, target. Always the same pairs and noise."""
        rows = self.sampler.rows(np.linspace(0, len(self.sampler) - 1, SHOWN).astype(np.int64))
        source, target = (self.crops.images(side) for side in rows.T)
        seen = seen_by_generator(self.config, source, *(self.crops.people(side) for side in rows.T))
        drawn = [self.noise(SHOWN, random_generator("translator sheet", way)) for way in range(2)]
        made = [self.generator(seen, noise) for noise in drawn]
        return to_pixels(torch.stack([source, *made, target], dim=1).flatten(0, 1))

    def _judge(self, condition: Tensor, crops: Tensor) -> Tensor:
        with self.autocast():
            logits: Tensor = self.networks["discriminator"](torch.cat([condition, crops], dim=1))
            return logits

    def _held(
        self, made: Tensor, source: Tensor, target: Tensor, mask: Tensor | None, target_mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """L1, foreground and background loss; those that the config does not ask for are 0."""
        none = made.new_zeros(())
        if self.config.held_to == "l1" or mask is None or target_mask is None:
            return absolute_error(made, target), none, none
        if self.config.gap == "inpainted":
            target, target_mask = inpaint(target, without_people(target_mask)), torch.zeros_like(target_mask)
        mask, target_mask = (blur(one, self.config.mask_blur) for one in (mask, target_mask))
        if self.config.held_to == "static":
            return none, *static_losses(made, source, target, mask, target_mask)
        return none, *variable_losses(made, target, target_mask)
