"""One step of a style generator's training, and everything that must be kept to go on exactly where a run stopped."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from reidgen.config import Precision, StyleGANConfig
from reidgen.data.pixels.store import CropStore
from reidgen.engine.devices.device import Fabric, gathered, sum_gradients, summed
from reidgen.generators.augmentation import ada
from reidgen.generators.training import updates
from reidgen.generators.training.blur import blur, fading_sigma
from reidgen.generators.training.gan import GANTraining
from reidgen.generators.training.latents import Latents, draw_latents, mixed_styles
from reidgen.losses.gan import adversarial
from reidgen.losses.gan.gradient_penalty import r1_penalty
from reidgen.losses.gan.path_length import path_lengths, path_penalty
from reidgen.models import stylegan2, stylegan3
from reidgen.models.stylegan.discriminator import Discriminator
from reidgen.models.stylegan.generator import GeneratorNetwork
from reidgen.models.stylegan.precision import use_half
from reidgen.models.stylegan3 import MAGNITUDE_HALF_LIFE

HALF: dict[Precision, torch.dtype | None] = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
# Factor on the losses that keeps float16's gradients above its smallest numbers. A fixed one, so there is no state to
# keep: on a trained pair all factors from 1/16 to 4,096 gave the same gradients.
LOSS_SCALE: dict[Precision, float] = {"float32": 1.0, "bf16": 1.0, "fp16": 16.0}
ADA_STEPS = 4  # steps between two updates of p
LAZY = ("r1", "r2", "path")


class StyleGANTraining(GANTraining):
    """The networks, optimisers and counters of a training.

    A batch is computed in `config.accumulate` parts, which several processes share: the gradients of the parts add up
    before the networks move, so that a step needs the memory of one part. They are the gradients of the whole batch
    but for what a batch has in common: the discriminator's minibatch statistic is taken within each part, and
    augmentation draws its numbers part by part. StyleGAN3's running magnitudes and the mean path length move by the
    mean over the parts. So any number of processes that divides the parts computes the same, up to rounding.

    Attributes:
        ada_p: Probability of each augmentation.
        lazy: Last values of the penalties.
    """

    kind = "stylegan"
    config: StyleGANConfig
    generator: stylegan2.Generator | stylegan3.Generator
    discriminator: Discriminator

    def __init__(self, config: StyleGANConfig, fabric: Fabric, store: CropStore, *, ramp: bool) -> None:
        super().__init__(config, fabric, store)
        self.ramp = ramp
        self._average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        for module in self.discriminator.highest_blocks(config.freeze_d):
            module.requires_grad_(False)
        for network in (self.generator, self.discriminator):
            use_half(network, HALF[config.precision])
        self.loss_scale = LOSS_SCALE[config.precision]
        self.penalties = ("r1",) if config.loss == "logistic" else ("r1", "r2")  # on the reals, on the fakes
        self.g_parameters, self.d_parameters = _trained(self.generator), _trained(self.discriminator)
        path_interval = config.path_interval if config.path_weight else None
        penalty_interval = None if config.penalty_interval == 1 else config.penalty_interval
        self.g_optimiser = updates.lazy_adam(self.g_parameters, config.lr_generator, interval=path_interval)
        self.d_optimiser = updates.lazy_adam(self.d_parameters, config.lr_discriminator, interval=penalty_interval)
        self.ada_p = 0.0
        self.path_mean = torch.zeros([], device=fabric.device)
        self.signs = torch.zeros([], dtype=torch.float64, device=fabric.device)
        self.lazy = {name: torch.zeros([], device=fabric.device) for name in LAZY}

    @property
    def average(self) -> GeneratorNetwork:
        """The running average of the generator."""
        return self._average

    def advance(self) -> None:
        """One step: gradients of both networks on one batch, both updates, lazy regularisation, average, p."""
        reals, latents = self._reals(), self._latents("main", self.config.batch)
        updates.clear_gradients([*self.g_parameters, *self.d_parameters])
        if self.step % self.config.penalty_interval == 0:
            self.lazy.update({name: torch.zeros_like(self.lazy[name]) for name in self.penalties})
        # both gradients are taken before either network moves, so one pass of D over the fakes serves both losses
        with self._magnitudes() as part_ends:
            parts = []
            for part, rows in self._parts(self.config.batch):
                parts.append(self._play(reals[rows], latents.rows(rows), part))
                part_ends()
        fakes, *own = (torch.cat(column) for column in zip(*parts, strict=True))
        ws, real_logits, fake_logits, losses = (gathered(self.fabric, values) for values in own)
        if self.config.penalty_interval == 1:
            self._sum_penalties()
        self.generator.mapping.track(ws)
        norm_g = self._move(self.g_optimiser, self.g_parameters)
        norm_d = self._move(self.d_optimiser, self.d_parameters)
        if self.config.penalty_interval > 1 and self.step % self.config.penalty_interval == 0:
            self._regularise_discriminator(reals, fakes)
        if self.config.path_weight and self.step % self.config.path_interval == 0:
            self._regularise_generator()
        # what D says of one image alone has no zero with the relativistic loss: there a pair's sign counts
        judged = real_logits if self.config.loss == "logistic" else real_logits - fake_logits
        signs = judged.sign().mean()
        self.signs = self.signs + signs
        means = (*losses.mean(dim=0), real_logits.mean(), fake_logits.mean(), signs)
        self._count(*means, norm_g, norm_d, fakes=fakes, reals=reals)
        updates.update_average(
            self.average, self.generator, updates.average_decay(self.config, self.step, ramp=self.ramp)
        )
        if self.step % ADA_STEPS == 0:
            self._adapt()

    def _figures(self) -> dict[str, float]:
        penalties = {name: value.item() for name, value in self.lazy.items()}
        return {**super()._figures(), **penalties, "ada_p": self.ada_p, "blur": self._sigma()}

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
        self.lazy = {name: value.to(self.fabric.device) for name, value in state["lazy"].items()}
        self.summed, self.step, self.ada_p = state["summed"], state["step"], state["ada_p"]

    def _latents(self, purpose: str, count: int) -> Latents:
        mixing, device = self.config.style_mixing, self.fabric.device
        return draw_latents(self.generator, count, self._random(purpose), mixing=mixing, device=device)

    def _parts(self, count: int) -> Iterator[tuple[int, slice]]:
        """This process's parts of the parts that `count` images are computed in."""
        size = self.config.batch // self.config.accumulate
        parts = enumerate(range(0, count, size))
        return ((part, slice(at, min(at + size, count))) for part, at in parts if self._is_own(part))

    def _is_own(self, part: int) -> bool:
        """Whether a part is computed by this process; each has so many in a row."""
        return part * self.fabric.world_size // self.config.accumulate == self.fabric.global_rank

    @contextmanager
    def _magnitudes(self) -> Iterator[Callable[[], None]]:
        """Each part begins with the running magnitudes of the step's start, and all parts move them together."""
        buffers = [value for name, value in self.generator.named_buffers() if name.endswith("magnitude_ema")]
        if self.config.accumulate == 1 or not buffers:
            yield lambda: None
            return
        before = torch.stack(buffers)
        total = torch.zeros_like(before)

        def part_ends() -> None:
            total.add_(torch.stack(buffers))
            for value, old in zip(buffers, before, strict=True):
                value.copy_(old)

        yield part_ends
        # a part moves them as far as its own images do, the step as far as all of them
        batch, parts = self.config.batch, self.config.accumulate
        further = (1 - 0.5 ** (batch / MAGNITUDE_HALF_LIFE)) / (1 - 0.5 ** (batch / parts / MAGNITUDE_HALF_LIFE))
        moved = before + further * (summed(self.fabric, total) / parts - before)
        for value, new in zip(buffers, moved, strict=True):
            value.copy_(new)

    def _play(self, reals: Tensor, latents: Latents, part: int) -> tuple[Tensor, ...]:
        """Add a part's gradients; returns its fakes, their w, the logits of reals and fakes, and (1, 2) losses."""
        ws, w = mixed_styles(self.generator, latents)
        made = self.generator.synthesis(ws, latents.noise)
        # D's graph ends at the images: their gradients serve the generator, and penalties that come at each step
        penalised = self.config.penalty_interval == 1
        reals, fakes = reals.requires_grad_(penalised), made.detach().requires_grad_()
        real_logits, fake_logits = self._judge(reals, "real", part), self._judge(fakes, "fake", part)
        if self.config.loss == "logistic":
            loss_g = adversarial.generator_loss(fake_logits)
            loss_d = adversarial.discriminator_loss(real_logits, fake_logits)
        else:
            loss_g = adversarial.relativistic_generator_loss(real_logits, fake_logits)
            loss_d = adversarial.relativistic_discriminator_loss(real_logits, fake_logits)
        share = self.loss_scale / self.config.accumulate
        (slope,) = torch.autograd.grad(loss_g * share, fakes, retain_graph=True)
        made.backward(slope, inputs=self.g_parameters)
        judged = {"r1": (real_logits, reals), "r2": (fake_logits, fakes)}
        penalty = self._penalty({name: judged[name] for name in self.penalties}) if penalised else 0.0
        updates.add_gradients((loss_d + penalty) * share, self.d_parameters)
        losses = torch.stack([loss_g, loss_d])[None]
        return tuple(tensor.detach() for tensor in (fakes, w, real_logits, fake_logits, losses))

    def _judge(self, images: Tensor, purpose: str, part: int) -> Tensor:
        """Logits of the images as the discriminator sees them: blurred at the start, and augmented."""
        generator = self._random(f"augment {purpose} {part}")
        seen = blur(images, self._sigma())
        return self.discriminator(ada.augment(seen, self.ada_p, generator, pipe=self.config.augment))

    def _sigma(self) -> float:
        return fading_sigma(self.step * self.config.batch, self.config.fade_kimg)

    def _move(self, optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> Tensor:
        """One update; returns the norm of the gradient."""
        sum_gradients(self.fabric, parameters)
        if self.config.precision == "fp16":  # elsewhere a gradient that is not a number is told, not mended
            updates.unscale(parameters, self.loss_scale)
        optimiser.step()
        return updates.gradient_norm(parameters)

    def _penalty(self, judged: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Gamma / 2 times R1, or times R1 + R2, of the logits and images (Huang et al. 2024, equation 3)."""
        penalties = {name: r1_penalty(logits, images) for name, (logits, images) in judged.items()}
        for name, penalty in penalties.items():
            self.lazy[name] = self.lazy[name] + penalty.detach() / self.config.accumulate
        return torch.stack(list(penalties.values())).sum() * (self.config.r1_gamma / 2)

    def _sum_penalties(self) -> None:
        """After all parts: what each process has added up is told to all."""
        self.lazy.update({name: summed(self.fabric, self.lazy[name]) for name in self.penalties})

    def _regularise_discriminator(self, reals: Tensor, fakes: Tensor) -> None:
        """Lazy penalties, in an update of their own (Karras et al. 2020, CVPR, section 3.1)."""
        updates.clear_gradients(self.d_parameters)
        weight = self.config.penalty_interval * self.loss_scale / self.config.accumulate
        before = self.fabric.global_rank * len(fakes)  # those of other processes
        for part, rows in self._parts(len(reals)):
            own = slice(rows.start - before, rows.stop - before)
            for name, chosen in zip(self.penalties, (reals[rows], fakes[own]), strict=False):
                images = chosen.detach().requires_grad_()
                penalty = self._penalty({name: (self._judge(images, name, part), images)})
                updates.add_gradients(penalty * weight, self.d_parameters)
        self._move(self.d_optimiser, self.d_parameters)
        self._sum_penalties()

    def _regularise_generator(self) -> None:
        """Lazy path length on half a batch."""
        count, size = max(self.config.batch // 2, 1), self.config.batch // self.config.accumulate
        latents, target = self._latents("path", count), self._random("path target")
        updates.clear_gradients(self.g_parameters)
        total, mean = torch.zeros_like(self.lazy["path"]), torch.zeros_like(self.path_mean)
        for at in range(0, count, size):
            part = latents.rows(slice(at, min(at + size, count)))
            noise = torch.randn((len(part.second), 3, *self.config.size), generator=target)
            if not self._is_own(at // size):
                continue
            ws, _ = mixed_styles(self.generator, part)
            images = self.generator.synthesis(ws, part.noise)
            penalty, moved = path_penalty(path_lengths(images, ws, noise.to(images.device)), self.path_mean)
            share = len(images) / count
            weight = self.config.path_weight * self.config.path_interval * self.loss_scale
            updates.add_gradients(penalty * (weight * share), self.g_parameters)
            total += penalty.detach() * share
            mean += moved * share
        self._move(self.g_optimiser, self.g_parameters)
        self.lazy["path"], self.path_mean = summed(self.fabric, total), summed(self.fabric, mean)

    def _adapt(self) -> None:
        sign_mean = self.signs.item() / ADA_STEPS
        self.signs = torch.zeros_like(self.signs)
        if self.config.augment != "none":
            images, config = ADA_STEPS * self.config.batch, self.config
            self.ada_p = ada.next_probability(
                self.ada_p, sign_mean, target=config.ada_target, images=images, ada_kimg=config.ramp_kimg
            )


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
