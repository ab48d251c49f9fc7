"""One step of a DCGAN's training, and everything that must be kept to go on exactly where a run stopped."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from reidgen.config import DCGANConfig
from reidgen.data.pixels.store import CropStore
from reidgen.engine.devices.device import Fabric, average_buffers, gathered, share_of, sum_gradients, summed
from reidgen.generators.training.gan import GANTraining
from reidgen.generators.training.updates import add_gradients, clear_gradients, gradient_norm
from reidgen.losses.gan.adversarial import discriminator_loss, generator_loss
from reidgen.models.reid.ghost_norm import use_parts

BETA2 = 0.999


class DCGANTraining(GANTraining):
    """The networks, optimisers and counters of a training as Radford et al. 2016 describe it.

    Binary cross-entropy, the generator's in the form that does not saturate, Adam, no augmentation, no penalty and no
    average of the weights. Between two steps the networks are in evaluation mode, where the batch normalisation uses
    its running statistics. With `config.norm_batch` any number of processes computes the same, up to rounding.
    """

    kind = "dcgan"
    config: DCGANConfig

    def __init__(self, config: DCGANConfig, fabric: Fabric, store: CropStore) -> None:
        super().__init__(config, fabric, store)
        for network in (self.generator, self.discriminator):
            network.eval()
            if config.norm_batch is not None:
                use_parts(network, config.norm_batch)
        self.g_parameters, self.d_parameters = list(self.generator.parameters()), list(self.discriminator.parameters())
        self.g_optimiser, self.d_optimiser = self._adam(self.g_parameters), self._adam(self.d_parameters)

    def advance(self) -> None:
        """One step: the discriminator learns from a batch of crops and one of fakes, then the generator from it."""
        self.generator.train()
        self.discriminator.train()
        own = share_of(self.fabric, self.config.batch)
        reals, fakes = self._reals(), self._fakes(own)
        real_logits, fake_logits = self._judge(reals[own]), self._judge(fakes.detach())
        loss_d = discriminator_loss(real_logits, fake_logits)
        norm_d = self._move(self.d_optimiser, loss_d, self.d_parameters)
        loss_g = generator_loss(self._judge(fakes))
        norm_g = self._move(self.g_optimiser, loss_g, self.g_parameters)
        for network in (self.generator, self.discriminator):
            average_buffers(self.fabric, network)
            network.eval()
        losses = summed(self.fabric, torch.stack([loss_g, loss_d]).detach()) / self.fabric.world_size
        real_logits, fake_logits = gathered(self.fabric, real_logits), gathered(self.fabric, fake_logits)
        means = (*losses, real_logits.mean(), fake_logits.mean(), real_logits.sign().mean())
        self._count(*means, norm_g, norm_d, fakes=fakes, reals=reals)

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "g_optimiser": self.g_optimiser.state_dict(),
            "d_optimiser": self.d_optimiser.state_dict(),
            "sums": self.sums,
            "summed": self.summed,
            "step": self.step,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        for name in ("generator", "discriminator", "g_optimiser", "d_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.sums = state["sums"].to(self.fabric.device)
        self.summed, self.step = state["summed"], state["step"]

    def _adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        return torch.optim.Adam(parameters, lr=self.config.lr, betas=(self.config.beta1, BETA2), fused=True)

    def _fakes(self, own: slice) -> Tensor:
        z = torch.randn(self.config.batch, self.config.z_dim, generator=self._random("z")).to(self.fabric.device)
        with self._autocast():
            return self.generator(z[own])

    def _judge(self, images: Tensor) -> Tensor:
        with self._autocast():
            return self.discriminator(images)

    def _autocast(self) -> torch.autocast:
        half = self.config.precision == "bf16"
        return torch.autocast(self.fabric.device.type, dtype=torch.bfloat16, enabled=half)

    def _move(self, optimiser: torch.optim.Optimizer, loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
        """One update of one network; returns the norm of the gradient."""
        clear_gradients(parameters)
        add_gradients(loss / self.fabric.world_size, parameters)
        sum_gradients(self.fabric, parameters)
        optimiser.step()
        return gradient_norm(parameters)
