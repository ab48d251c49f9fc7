"""Batch normalisation over parts of the batch, so that its noise does not depend on how many crops a step has.

Recipes made for several small GPUs normalise over the crops of one GPU. Over parts of that size one large GPU computes
the same; and any number of processes that each hold whole parts compute the same as one.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from reidgen.errors import ConfigError, option

PLAIN = nn.modules.batchnorm._BatchNorm.forward


class GhostBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Ghost batch normalisation (Hoffer et al. 2017, *Train longer, generalize better*, algorithm 1).

    Each part of `part` consecutive crops is normalised by its own mean and variance. The running ones go a step of
    `momentum` to the mean of those of all parts, where the paper takes the parts one after the other: the parts are
    then equal, and processes that hold some of them agree once they average their buffers.

    Attributes:
        part: Crops in a part; a batch in training has a multiple of it.
        crops: How many crops the rows are of, where a crop may have several, one for each token; None: one row each.
    """

    def __init__(self, channels: int, *, part: int) -> None:
        super().__init__(channels)
        self.part = part
        self.crops: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        if not self.training:
            return super().forward(x)
        crops = len(x) if self.crops is None else self.crops
        assert crops % self.part == len(x) % crops == 0, f"{len(x)} rows of {crops} crops, parts of {self.part}"
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        parts = x.split(self.part * (len(x) // crops))
        means, variances = (self.running_mean.new_zeros(len(parts), self.num_features) for _ in range(2))
        # with momentum 1 the "running" statistics are those of the part
        normal = [
            functional.batch_norm(one, mean, var, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
            for one, mean, var in zip(parts, means.unbind(), variances.unbind(), strict=True)
        ]
        with torch.no_grad():
            self.running_mean.lerp_(means.mean(dim=0), self.momentum)
            self.running_var.lerp_(variances.mean(dim=0), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return torch.cat(normal)

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of positions: it stands for BatchNorm1d and BatchNorm2d alike."""


class GhostBatchNormAct(GhostBatchNorm):
    """`GhostBatchNorm` with what timm's BatchNormAct2d does after its own normalisation: drop, then activation.

    Attributes:
        drop: The module that drops blocks of the map, or an identity.
        act: The activation, or an identity.
    """

    def __init__(self, channels: int, *, part: int, drop: nn.Module, act: nn.Module) -> None:
        super().__init__(channels, part=part)
        self.drop, self.act = drop, act

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        out: Tensor = self.act(self.drop(super().forward(x)))
        return out


def use_parts(network: nn.Module, part: int) -> None:
    """Let every batch normalisation of a network work over parts of `part` crops; names and values stay.

    The network's first input tells them how many crops there are: some networks normalise tokens as rows.

    Raises:
        ConfigError: A normalisation does something of its own, that parts would take away from it.
    """
    ghosts: list[GhostBatchNorm] = []
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, GhostBatchNorm):
            ghost = _like(name, module, part)
            ghost.weight, ghost.bias = module.weight, module.bias
            ghost.eps, ghost.momentum = module.eps, module.momentum
            ghost.running_mean, ghost.running_var = module.running_mean, module.running_var
            ghost.num_batches_tracked = module.num_batches_tracked
            ghost.train(module.training)
            network.set_submodule(name, ghost)
            ghosts.append(ghost)

    def count(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        for ghost in ghosts:
            ghost.crops = len(inputs[0])

    network.register_forward_pre_hook(count)


def _like(name: str, module: nn.modules.batchnorm._BatchNorm, part: int) -> GhostBatchNorm:
    """The ghost that can stand for a module, whose values it has not yet."""
    drop, act = getattr(module, "drop", None), getattr(module, "act", None)
    if module.momentum is not None and module.running_mean is not None:
        if type(module).forward is PLAIN:
            return GhostBatchNorm(module.num_features, part=part)
        if isinstance(drop, nn.Module) and isinstance(act, nn.Module):
            return GhostBatchNormAct(module.num_features, part=part, drop=drop, act=act)
    raise ConfigError(
        f"{option('norm_batch')} does not know this network's normalisation.",
        got=f"{type(module).__name__} ({name})",
        allowed="batch normalisation with moving averages, or timm's BatchNormAct2d",
        fix=f"another {option('backbone')}, or no {option('norm_batch')} and {option(devices=1)}",
    )
