"""What moves the weights of a generator's training: optimiser, guarded gradients, running average."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from reidgen.config import StyleGANConfig

BETAS, EPS = (0.0, 0.99), 1e-8
RAMP = 0.05  # the average's half-life is at most this share of the images seen so far
LARGEST = 1e5  # what an infinite gradient counts as


def lazy_adam(parameters: Iterable[nn.Parameter], lr: float, *, interval: int | None) -> torch.optim.Adam:
    """Adam for a loss of which one part is computed only every `interval` steps, in a step of its own.

    There are then interval + 1 updates in interval steps, so the learning rate and the decays are corrected by
    c = interval / (interval + 1): lr * c and beta^c (Karras et al. 2020, CVPR, appendix B, "Lazy regularization").
    None: there is no such part.
    """
    share = 1.0 if interval is None else interval / (interval + 1)
    return torch.optim.Adam(
        parameters, lr=lr * share, betas=(BETAS[0] ** share, BETAS[1] ** share), eps=EPS, fused=True
    )


def clear_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Forget the parameters' gradients."""
    for parameter in parameters:
        parameter.grad = None


def add_gradients(loss: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Add the loss's gradients to those of the parameters, and of no others."""
    loss.backward(inputs=list(parameters))


@torch.no_grad()
def unscale(parameters: Iterable[nn.Parameter], scale: float) -> None:
    """Divide the gradients by the scale of the loss; NaN becomes 0 and infinity 1e5, of the same sign."""
    for gradient in gradients_of(parameters):
        gradient.div_(scale).nan_to_num_(nan=0.0, posinf=LARGEST, neginf=-LARGEST)


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Norm of all gradients together."""
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients_of(parameters)]
    return torch.linalg.vector_norm(torch.stack(norms))


def gradients_of(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """The gradients that are there."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


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
