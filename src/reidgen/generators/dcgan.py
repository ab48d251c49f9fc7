"""One step of a DCGAN's training, and everything that must be kept to go on exactly where a run stopped."""

from collections.abc import Iterable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from reidgen.config import DCGANConfig
from reidgen.data.samplers import EpochSampler
from reidgen.data.store import CropStore
from reidgen.engine.device import derive_seed
from reidgen.engine.device import generator as random_generator
from reidgen.generators.ada import randomly_mirrored
from reidgen.generators.sampling import to_tensor
from reidgen.generators.training import FIGURES, spread
from reidgen.generators.updates import add_gradients, all_finite, clear_gradients, gradient_norm
from reidgen.generators.weights import build_discriminator, build_generator
from reidgen.losses.adversarial import discriminator_loss, generator_loss
from reidgen.models.generator import GeneratorNetwork

BETA2 = 0.999


class DCGANTraining:
    """The networks, optimisers and counters of a training as Radford et al. 2016 describe it.

    Binary cross-entropy, the generator's in the form that does not saturate, Adam, no augmentation, no penalty and no
    average of the weights. Random numbers are drawn from generators seeded by (seed, purpose, step), so there is no
    random state to keep.

    Attributes:
        generator, discriminator: The networks; between two steps in evaluation mode, where the batch normalisation
            uses its running statistics.
        step: Steps done.
        sums: Sums of `FIGURES` since the last log record, and how many steps they run over.
    """

    def __init__(self, config: DCGANConfig, fabric: Fabric, store: CropStore) -> None:
        self.config, self.fabric = config, fabric
        self.store = store.to(fabric.device)
        self.sampler = EpochSampler(len(store), config.batch, seed=config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("dcgan weights", config.seed))
            self.generator = build_generator(config).to(fabric.device).eval()
            self.discriminator = build_discriminator(config).to(fabric.device).eval()
        self.g_parameters, self.d_parameters = list(self.generator.parameters()), list(self.discriminator.parameters())
        self.g_optimiser, self.d_optimiser = self._adam(self.g_parameters), self._adam(self.d_parameters)
        self.step, self.summed = 0, 0
        self.sums = torch.zeros(len(FIGURES), dtype=torch.float64, device=fabric.device)

    @property
    def average(self) -> GeneratorNetwork:
        """The generator itself: what the training is for."""
        return self.generator

    def advance(self) -> None:
        """One step: the discriminator learns from a batch of crops and one of fakes, then the generator from it."""
        self.generator.train()
        self.discriminator.train()
        reals, fakes = self._reals(), self._fakes()
        real_logits, fake_logits = self._judge(reals), self._judge(fakes.detach())
        loss_d = discriminator_loss(real_logits, fake_logits)
        norm_d = self._move(self.d_optimiser, loss_d, self.d_parameters)
        loss_g = generator_loss(self._judge(fakes))
        norm_g = self._move(self.g_optimiser, loss_g, self.g_parameters)
        self.generator.eval()
        self.discriminator.eval()
        means = (loss_g, loss_d, real_logits.mean(), fake_logits.mean(), real_logits.sign().mean())
        figures = torch.stack([*means, norm_g, norm_d, spread(fakes), spread(reals)])
        self.sums += figures.detach().double()
        self.summed += 1
        self.step += 1

    def figures(self) -> dict[str, float]:
        """Means since the last call, and the counters; starts the sums anew."""
        means = (self.sums / max(self.summed, 1)).tolist()
        self.sums.zero_()
        self.summed = 0
        counters = {"step": self.step, "kimg": self.step * self.config.batch / 1000}
        return {**counters, **dict(zip(FIGURES, means, strict=True))}

    def finite(self) -> bool:
        """Whether all figures since the last log record, the weights and the running statistics are numbers."""
        return all_finite(self.sums, self.generator, self.discriminator)

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

    def _random(self, purpose: str) -> torch.Generator:
        return random_generator("dcgan", self.config.seed, purpose, self.step)

    def _reals(self) -> Tensor:
        images = to_tensor(self.store.batch(self.sampler.indices(self.step)))
        return randomly_mirrored(images, self._random("mirror")) if self.config.mirror else images

    def _fakes(self) -> Tensor:
        z = torch.randn(self.config.batch, self.config.z_dim, generator=self._random("z")).to(self.fabric.device)
        with self._autocast():
            return self.generator(z)

    def _judge(self, images: Tensor) -> Tensor:
        with self._autocast():
            return self.discriminator(images)

    def _autocast(self) -> torch.autocast:
        half = self.config.precision == "bf16"
        return torch.autocast(self.fabric.device.type, dtype=torch.bfloat16, enabled=half)

    def _move(self, optimiser: torch.optim.Optimizer, loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
        """One update of one network; returns the norm of the gradient."""
        clear_gradients(parameters)
        add_gradients(loss, parameters)
        optimiser.step()
        return gradient_norm(parameters)
