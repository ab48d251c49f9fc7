"""CycleGAN between two cameras (CamStyle), and SPGAN, which keeps people apart on the way."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from reidgen.config.generators.translation import TranslatorConfig
from reidgen.data.samplers import EpochSampler
from reidgen.engine.devices.device import gathered
from reidgen.generators.sampling import to_pixels
from reidgen.generators.training.adversarial import SHOWN
from reidgen.generators.translation.adversaries import TranslatorTraining
from reidgen.generators.translation.domain_crops import Crops, check_camera
from reidgen.generators.translation.networks import BACK, GENERATOR
from reidgen.losses.gan.least_squares import least_squares_discriminator_loss, least_squares_generator_loss
from reidgen.losses.images.reconstruction import absolute_error, cycle_error
from reidgen.losses.images.similarity import similarity_loss
from reidgen.models.translation.siamese import HIDDEN
from reidgen.models.translation.unet import KEPT


class History:
    """Made crops that are kept, so that a discriminator sees older ones too (Shrivastava et al. 2017, section 2.3).

    Up to `size` crops. Once it is full, each new one is shown itself, or by even chances swapped for a kept one.

    Attributes:
        kept: The crops (N, C, H, W), or None before the first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: Tensor | None = None

    def show(self, made: Tensor, generator: torch.Generator) -> Tensor:
        """The crops (N, C, H, W) that the discriminator sees in place of those just made."""
        if self.size == 0:
            return made
        shown = []
        for crop in made.detach():
            kept = 0 if self.kept is None else len(self.kept)
            swap, place = torch.rand(2, generator=generator).tolist()
            if self.kept is None or kept < self.size:
                self.kept = crop[None].clone() if self.kept is None else torch.cat([self.kept, crop[None]])
                shown.append(crop)
            elif swap < 0.5:
                index = int(place * kept)
                shown.append(self.kept[index].clone())
                self.kept[index] = crop
            else:
                shown.append(crop)
        return torch.stack(shown)

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {} if self.kept is None else {"kept": self.kept}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to a `state`."""
        self.kept = state["kept"].to(device) if "kept" in state else None


class CycleTraining(TranslatorTraining):
    """Zhu et al. 2017, section 3 and 4; with a similarity network Deng et al. 2018, section 3.2.

    Attributes:
        histories: Made crops of the target and of the source.
    """

    NAMES: ClassVar = ("loss_g", "loss_d", "gan", "cycle", "identity", "similarity", "d_real", "d_fake")
    GROUPS: ClassVar = {
        "generators": (GENERATOR, BACK),
        "discriminators": ("of_target", "of_source"),
        "similarity": ("similarity",),
    }

    def __init__(self, config: TranslatorConfig, fabric: Fabric, crops: Crops) -> None:
        super().__init__(config, fabric, crops)
        assert config.source is not None
        assert config.target is not None
        self.rows = [check_camera(crops.table, camera) for camera in (config.source, config.target)]
        self.samplers = [
            EpochSampler(len(rows), config.batch, config.seed, stream=stream) for stream, rows in enumerate(self.rows)
        ]
        self.histories = [History(config.history), History(config.history)]

    def play(self) -> Sequence[Tensor]:
        """Both generators learn from a batch of each camera, then the discriminators, then the similarity network."""
        source, target = self._batch(0), self._batch(1)
        with self.autocast():
            to_target, to_source = self.networks[GENERATOR](source), self.networks[BACK](target)
            there_and_back = self.networks[BACK](to_target), self.networks[GENERATOR](to_source)
        of_target, of_source = self._judge("of_target", to_target), self._judge("of_source", to_source)
        gan = least_squares_generator_loss(of_target) + least_squares_generator_loss(of_source)
        cycle = cycle_error(source, there_and_back[0], target, there_and_back[1])
        identity = self._identity(source, target)
        similarity = self._similarity(source, to_target, target, to_source)
        config = self.config
        held = config.cycle_weight * cycle + config.identity_weight * identity
        loss_g = config.gan_weight * gan + held + config.similarity_weight * similarity
        self.move("generators", loss_g)
        loss_d, real, fake = self._discriminate(source, target, to_source.detach(), to_target.detach())
        if config.similarity_weight:
            made = to_target.detach(), to_source.detach()
            self.move("similarity", self._similarity(source, made[0], target, made[1]))
        return loss_g, loss_d, gan, cycle, identity, similarity, real, fake

    @torch.inference_mode()
    def sheet(self) -> np.ndarray:
        """A row a crop of each camera: source, its translation, and back; target, its translation, and back."""
        source, target = (
            self.crops.images(rows[np.linspace(0, len(rows) - 1, SHOWN).astype(np.int64)]) for rows in self.rows
        )
        forth, back = self.networks[GENERATOR], self.networks[BACK]
        made = [source, forth(source), back(forth(source)), target, back(target), forth(back(target))]
        return to_pixels(torch.stack(made, dim=1).flatten(0, 1))

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {**super().state(), "histories": [history.state() for history in self.histories]}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        super().load(state)
        for history, kept in zip(self.histories, state["histories"], strict=True):
            history.load(kept, self.fabric.device)

    def _batch(self, side: int) -> Tensor:
        rows = self.rows[side][self.samplers[side].indices(self.step)[self.own]]
        return self.crops.images(rows, self.moves(str(side)))

    def _judge(self, name: str, crops: Tensor) -> Tensor:
        with self.autocast():
            logits: Tensor = self.networks[name](crops)
            return logits

    def _identity(self, source: Tensor, target: Tensor) -> Tensor:
        """What is in its camera already stays as it is (Zhu et al. 2017, section 5.2)."""
        if not self.config.identity_weight:
            return source.new_zeros(())
        with self.autocast():
            kept = self.networks[GENERATOR](target), self.networks[BACK](source)
        return absolute_error(kept[0], target) + absolute_error(kept[1], source)

    def _similarity(self, source: Tensor, to_target: Tensor, target: Tensor, to_source: Tensor) -> Tensor:
        if not self.config.similarity_weight:
            return source.new_zeros(())
        shape, random = (4, self.config.batch, HIDDEN), self.random("similarity dropout")
        kept = (torch.rand(shape, generator=random) < KEPT)[:, self.own].to(source.device)
        network, shown = self.networks["similarity"], (source, to_target, target, to_source)
        with self.autocast():
            return similarity_loss(*(network(crops, one) for crops, one in zip(shown, kept, strict=True)))

    def _discriminate(
        self, source: Tensor, target: Tensor, to_source: Tensor, to_target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Both discriminators learn, half as fast, from crops and from histories of made ones."""
        losses, reals, fakes = [], [], []
        for name, history, real, made in (
            ("of_target", self.histories[0], target, to_target),
            ("of_source", self.histories[1], source, to_source),
        ):
            real_logits = self._judge(name, real)
            shown = history.show(gathered(self.fabric, made), self.random(f"history {name}"))
            fake_logits = self._judge(name, shown[self.own])
            losses.append(least_squares_discriminator_loss(real_logits, fake_logits) / 2)
            reals.append(real_logits.mean())
            fakes.append(fake_logits.mean())
        loss = losses[0] + losses[1]
        self.move("discriminators", loss)
        return loss, torch.stack(reals).mean(), torch.stack(fakes).mean()
