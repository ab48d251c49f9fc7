"""One step of a StyleGAN2 training, and everything that must be kept to go on exactly where a run stopped."""

import copy
import math
from collections.abc import Iterable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from reidgen.config import Precision, StyleGANConfig
from reidgen.data.samplers import EpochSampler
from reidgen.data.store import CropStore
from reidgen.engine.device import derive_seed
from reidgen.engine.device import generator as random_generator
from reidgen.generators import ada
from reidgen.generators.sampling import to_tensor
from reidgen.generators.weights import build_discriminator, build_generator
from reidgen.losses.adversarial import discriminator_loss, generator_loss
from reidgen.losses.gradient_penalty import r1_penalty
from reidgen.losses.path_length import path_lengths, path_penalty
from reidgen.models.precision import use_half

HALF: dict[Precision, torch.dtype | None] = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
ADA_STEPS = 4  # steps between two updates of p
BETAS, EPS = (0.0, 0.99), 1e-8
RAMP = 0.05  # the average's half-life is at most this share of the images seen so far
FIGURES = ("loss_g", "loss_d", "d_real", "d_fake", "r_t", "grad_norm_g", "grad_norm_d", "spread_fake", "spread_real")


class StyleGANTraining:
    """The networks, optimisers and counters of a training.

    Random numbers are drawn from generators seeded by (seed, purpose, step), so there is no random state to keep.

    Attributes:
        generator, average, discriminator: The generator, its running average (which is what the training is for), and
            the discriminator.
        step: Steps done.
        ada_p: Probability of each augmentation.
        sums: Sums of `FIGURES` since the last log record, and how many steps they run over.
        lazy: Last value of the lazy regularisations.
    """

    def __init__(self, config: StyleGANConfig, fabric: Fabric, store: CropStore, *, ramp: bool) -> None:
        self.config, self.fabric, self.ramp = config, fabric, ramp
        self.store = store.to(fabric.device)
        self.sampler = EpochSampler(len(store), config.batch, seed=config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("stylegan weights", config.seed))
            self.generator = build_generator(config).to(fabric.device)
            self.discriminator = build_discriminator(config).to(fabric.device)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.half = HALF[config.precision]
        use_half(self.generator, self.half)
        use_half(self.discriminator, self.half)
        for module in self.discriminator.highest_blocks(config.freeze_d):
            module.requires_grad_(False)
        path_interval = config.path_interval if config.path_weight else None
        self.g_optimiser = lazy_adam(self.generator.parameters(), config.lr_generator, interval=path_interval)
        self.d_optimiser = lazy_adam(
            _trained(self.discriminator), config.lr_discriminator, interval=config.penalty_interval
        )
        self.step, self.ada_p = 0, 0.0
        self.path_mean = torch.zeros([], device=fabric.device)
        self.sums = torch.zeros(len(FIGURES), dtype=torch.float64, device=fabric.device)
        self.summed, self.signs = 0, torch.zeros([], dtype=torch.float64, device=fabric.device)
        self.lazy = {"r1": 0.0, "path": 0.0}

    def advance(self) -> None:
        """One step: gradients of both networks on one batch, both updates, lazy regularisation, average, p."""
        reals = self._reals()
        fakes = self._fakes("main", self.config.batch)
        real_logits, fake_logits = self._judge(reals, "real"), self._judge(fakes, "fake")
        # both gradients are taken before either network moves, so one pass of D over the fakes serves both losses
        loss_g, loss_d = generator_loss(fake_logits), discriminator_loss(real_logits, fake_logits)
        norm_g = _gradients(loss_g, self.generator.parameters(), retain_graph=True)
        norm_d = _gradients(loss_d, _trained(self.discriminator))
        self.g_optimiser.step()
        self.d_optimiser.step()
        if self.step % self.config.penalty_interval == 0:
            self._regularise_discriminator(reals)
        if self.config.path_weight and self.step % self.config.path_interval == 0:
            self._regularise_generator()
        signs = real_logits.detach().sign().mean()
        figures = (
            loss_g,
            loss_d,
            real_logits.mean(),
            fake_logits.mean(),
            signs,
            norm_g,
            norm_d,
            spread(fakes),
            spread(reals),
        )
        self.sums += torch.stack([figure.detach().double() for figure in figures])
        self.summed, self.signs = self.summed + 1, self.signs + signs
        self.step += 1
        update_average(self.average, self.generator, average_decay(self.config, self.step, ramp=self.ramp))
        if self.step % ADA_STEPS == 0:
            self._adapt()

    def figures(self) -> dict[str, float]:
        """Means since the last call, and the counters; starts the sums anew."""
        means = (self.sums / max(self.summed, 1)).tolist()
        self.sums.zero_()
        self.summed = 0
        kimg = self.step * self.config.batch / 1000
        return {
            "step": self.step,
            "kimg": kimg,
            **dict(zip(FIGURES, means, strict=True)),
            **self.lazy,
            "ada_p": self.ada_p,
        }

    def finite(self) -> bool:
        """Whether all figures since the last log record, and the weights, are numbers."""
        weights = (*self.generator.parameters(), *self.discriminator.parameters())
        return bool(torch.isfinite(self.sums).all()) and all(bool(torch.isfinite(weight).all()) for weight in weights)

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "g_optimiser": self.g_optimiser.state_dict(),
            "d_optimiser": self.d_optimiser.state_dict(),
            "path_mean": self.path_mean,
            "sums": self.sums,
            "signs": self.signs,
            "summed": self.summed,
            "lazy": self.lazy,
            "step": self.step,
            "ada_p": self.ada_p,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        for name in ("generator", "average", "discriminator", "g_optimiser", "d_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        for name in ("path_mean", "sums", "signs"):
            setattr(self, name, state[name].to(self.fabric.device))
        self.summed, self.lazy, self.step, self.ada_p = state["summed"], state["lazy"], state["step"], state["ada_p"]

    def _random(self, purpose: str) -> torch.Generator:
        return random_generator("stylegan", self.config.seed, purpose, self.step)

    def _normal(self, generator: torch.Generator, *shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(self.fabric.device)

    def _reals(self) -> Tensor:
        images = to_tensor(self.store.batch(self.sampler.indices(self.step)))
        if not self.config.mirror:
            return images
        mirrored = torch.rand(len(images), generator=self._random("mirror")) < 0.5
        return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)

    def _styles(self, generator: torch.Generator, count: int) -> Tensor:
        """One w a layer (N, num_ws, w_dim), mostly two w with a random crossover (Karras et al. 2019, 3.1)."""
        network, layers = self.generator, self.generator.num_ws
        w = network.mapping(self._normal(generator, 2 * count, network.z_dim))
        network.mapping.track(w)
        mixed = torch.rand(count, generator=generator) < self.config.style_mixing
        first = torch.randint(1, layers, (count,), generator=generator)
        second = mixed[:, None] & (torch.arange(layers) >= first[:, None])
        return torch.where(second.to(w.device)[:, :, None], w[count:, None], w[:count, None])

    def _fakes(self, purpose: str, count: int) -> Tensor:
        generator = self._random(purpose)
        ws = self._styles(generator, count)
        return self.generator.synthesis(ws, self._noise(generator, count))

    def _noise(self, generator: torch.Generator, count: int) -> list[Tensor]:
        return [self._normal(generator, count, *shape) for shape in self.generator.synthesis.noise_shapes]

    def _augment(self, images: Tensor, purpose: str) -> Tensor:
        return ada.augment(images, self.ada_p, self._random(f"augment {purpose}"), pipe=self.config.augment)

    def _judge(self, images: Tensor, purpose: str) -> Tensor:
        return self.discriminator(self._augment(images, purpose))

    def _regularise_discriminator(self, reals: Tensor) -> None:
        """Lazy R1 on the augmented reals (Karras et al. 2020, CVPR, section 3.1)."""
        images = reals.detach().requires_grad_()
        penalty = r1_penalty(self._judge(images, "R1"), images)
        _gradients(penalty * (self.config.r1_gamma / 2 * self.config.penalty_interval), _trained(self.discriminator))
        self.d_optimiser.step()
        self.lazy["r1"] = penalty.item()

    def _regularise_generator(self) -> None:
        """Lazy path length on half a batch."""
        count, generator = max(self.config.batch // 2, 1), self._random("path")
        ws = self._styles(generator, count)
        images = self.generator.synthesis(ws, self._noise(generator, count))
        lengths = path_lengths(images, ws, self._normal(generator, *images.shape))
        penalty, self.path_mean = path_penalty(lengths, self.path_mean)
        weight = self.config.path_weight * self.config.path_interval
        _gradients(penalty * weight, self.generator.parameters())
        self.g_optimiser.step()
        self.lazy["path"] = penalty.item()

    def _adapt(self) -> None:
        sign_mean = self.signs.item() / ADA_STEPS
        self.signs = torch.zeros_like(self.signs)
        if self.config.augment != "none":
            images, config = ADA_STEPS * self.config.batch, self.config
            self.ada_p = ada.next_probability(
                self.ada_p, sign_mean, target=config.ada_target, images=images, ada_kimg=config.ada_kimg
            )


def lazy_adam(parameters: Iterable[nn.Parameter], lr: float, *, interval: int | None) -> torch.optim.Adam:
    """Adam for a loss of which one part is computed only every `interval` steps, in a step of its own.

    There are then interval + 1 updates in interval steps, so the step size and the decays are corrected by
    c = interval / (interval + 1): lr * c and beta^c (Karras et al. 2020, CVPR, appendix B, "Lazy regularization").
    """
    share = 1.0 if interval is None else interval / (interval + 1)
    return torch.optim.Adam(
        parameters, lr=lr * share, betas=(BETAS[0] ** share, BETAS[1] ** share), eps=EPS, fused=True
    )


def average_decay(config: StyleGANConfig, step: int, *, ramp: bool) -> float:
    """How much of the average is kept at a step, so that its half-life is `ema_kimg`.

    With `ramp` the half-life is at most a twentieth of the images seen so far, so that the random start is forgotten.
    """
    kimg = config.batch * 10 / 32 if config.ema_kimg is None else config.ema_kimg
    half_life = kimg * 1000
    if ramp:
        half_life = min(half_life, RAMP * step * config.batch)
    return 0.5 ** (config.batch / max(half_life, EPS))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Let the weights of `average` follow `network`; buffers are copied."""
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(now)


@torch.no_grad()
def spread(images: Tensor) -> Tensor:
    """How much the images (N, C, H, W) differ from one another: mean over pixels of the deviation over the batch."""
    small = nn.functional.adaptive_avg_pool2d(images.detach(), (8, 4))
    return small.std(dim=0, correction=0).mean()


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _gradients(loss: Tensor, parameters: Iterable[nn.Parameter], *, retain_graph: bool = False) -> Tensor:
    """Set the parameters' gradients, and no others, and return their norm."""
    parameters = list(parameters)
    for parameter in parameters:
        parameter.grad = None
    loss.backward(inputs=parameters, retain_graph=retain_graph)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]))


def total_steps(config: StyleGANConfig) -> int:
    """Steps of the whole training."""
    return math.ceil(config.kimg * 1000 / config.batch)


def steps_of(kimg: float, config: StyleGANConfig) -> int:
    """Steps in which `kimg` thousand images are shown, at least one."""
    return max(round(kimg * 1000 / config.batch), 1)
