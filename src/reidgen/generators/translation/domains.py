"""StarGAN: one generator that is told which camera to make, for all cameras of a table (Choi et al. 2018)."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from reidgen.config.generators.translation import TranslatorConfig
from reidgen.data.samplers import EpochSampler
from reidgen.generators.sampling import to_pixels
from reidgen.generators.training.adversarial import SHOWN
from reidgen.generators.translation.adversaries import TranslatorTraining
from reidgen.generators.translation.domain_crops import Crops, check_camera
from reidgen.losses.gan.wasserstein import (
    between,
    slope_penalty,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from reidgen.losses.images.reconstruction import absolute_error
from reidgen.losses.reid.cross_entropy import cross_entropy
from reidgen.models.translation.residual import with_labels


class DomainTraining(TranslatorTraining):
    """Choi et al. 2018, section 3.1 with equation 8: a critic that also names the camera, a generator led by its name.

    Attributes:
        cameras: The cameras, sorted; a label is a place in them.
        labels: Label of each crop, int64 (N,).
    """

    NAMES: ClassVar = ("loss_g", "loss_d", "gan", "cycle", "class_real", "class_fake", "penalty", "d_real", "d_fake")
    GROUPS: ClassVar = {"generator": ("generator",), "discriminator": ("discriminator",)}

    def __init__(self, config: TranslatorConfig, fabric: Fabric, crops: Crops) -> None:
        super().__init__(config, fabric, crops)
        self.cameras = crops.cameras
        for camera in self.cameras:
            check_camera(crops.table, camera)
        self.labels = torch.from_numpy(np.searchsorted(self.cameras, crops.table.camids))
        self.sampler = EpochSampler(len(crops.table), config.batch, config.seed)
        self.last = torch.zeros(3, device=fabric.device)  # figures of the generator's last step: loss, cycle, class

    def play(self) -> Sequence[Tensor]:
        """The critic learns; each `critic_steps` the generator too. A step that has no part of it tells the last."""
        rows = self.sampler.indices(self.step)[self.own]
        crops = self.crops.images(rows, self.moves())
        labels = self.labels[torch.from_numpy(rows)].to(crops.device)
        drawn = torch.randint(len(self.cameras), (self.config.batch,), generator=self.random("asked"))
        asked = drawn[self.own].to(crops.device)
        generating = (self.step + 1) % self.config.critic_steps == 0
        with torch.set_grad_enabled(generating):
            made = self._make(crops, asked)
        loss_d, class_real, penalty, real, fake = self._criticise(crops, made.detach(), labels)
        if generating:
            self._generate(crops, made, labels, asked)
        loss_g, cycle, class_fake = self.last
        return loss_g, loss_d, -fake, cycle, class_real, class_fake, penalty, real, fake

    @torch.inference_mode()
    def sheet(self) -> np.ndarray:
        """A row a crop: itself, and as each camera."""
        rows = np.linspace(0, len(self.labels) - 1, SHOWN).astype(np.int64)
        crops = self.crops.images(rows)
        made = [self._make(crops, torch.full((SHOWN,), i, device=crops.device)) for i in range(len(self.cameras))]
        return to_pixels(torch.stack([crops, *made], dim=1).flatten(0, 1))

    def state(self) -> dict[str, object]:
        """Everything that `load` needs."""
        return {**super().state(), "last": self.last}

    def load(self, state: dict[str, object]) -> None:
        """Go back to a `state`."""
        super().load(state)
        last = state["last"]
        assert isinstance(last, Tensor)
        self.last = last.to(self.fabric.device)

    def _make(self, crops: Tensor, labels: Tensor) -> Tensor:
        with self.autocast():
            made: Tensor = self.generator(with_labels(crops, labels, len(self.cameras)))
            return made

    def _criticise(self, crops: Tensor, made: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        critic = self.networks["discriminator"]
        with self.autocast():
            (real_logits, real_classes), (fake_logits, _) = critic(crops), critic(made)
        class_real = cross_entropy(real_classes, labels)
        shares = torch.rand(self.config.batch, generator=self.random("between"))[self.own].to(crops.device)
        points = between(crops, made, shares)
        with self.autocast():
            point_logits, _ = critic(points)
        penalty = slope_penalty(point_logits, points)
        config = self.config
        loss = wasserstein_discriminator_loss(real_logits, fake_logits)
        loss = loss + config.class_weight * class_real + config.penalty_weight * penalty
        self.move("discriminator", loss)
        return loss, class_real, penalty, real_logits.mean(), fake_logits.mean()

    def _generate(self, crops: Tensor, made: Tensor, labels: Tensor, asked: Tensor) -> None:
        with self.autocast():
            logits, classes = self.networks["discriminator"](made)
        cycle = absolute_error(self._make(made, labels), crops)
        class_fake = cross_entropy(classes, asked)
        config = self.config
        loss = config.gan_weight * wasserstein_generator_loss(logits)
        loss = loss + config.class_weight * class_fake + config.cycle_weight * cycle
        self.move("generator", loss)
        self.last = self.mean(torch.stack([loss, cycle, class_fake]).detach())
