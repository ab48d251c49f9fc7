"""Batch normalisation over parts of the batch, so that its noise does not depend on how many crops a step has.

Recipes made for several small GPUs normalise over the crops of one GPU. Over parts of that size one large GPU computes
the same; and any number of processes that each hold whole parts compute the same as one.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class GhostBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Ghost batch normalisation (Hoffer et al. 2017, *Train longer, generalize better*, algorithm 1).

    Each part of `part` consecutive crops is normalised by its own mean and variance. The running ones go a step of
    `momentum` to the mean of those of all parts, where the paper takes the parts one after the other: the parts are
    then equal, and processes that hold some of them agree once they average their buffers.

    Attributes:
        part: Crops in a part; a batch in training has a multiple of it.
    """

    def __init__(self, channels: int, *, part: int) -> None:
        super().__init__(channels)
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        if not self.training:
            return super().forward(x)
        assert len(x) % self.part == 0, f"{len(x)} crops, parts of {self.part}"
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        parts = x.split(self.part)
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


def use_parts(network: nn.Module, part: int) -> None:
    """Let every batch normalisation of a network work over parts of `part` crops; names and values stay."""
    for name, module in list(network.named_modules()):
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            ghost = GhostBatchNorm(module.num_features, part=part)
            ghost.weight, ghost.bias = module.weight, module.bias
            ghost.eps, ghost.momentum = module.eps, module.momentum
            ghost.running_mean, ghost.running_var = module.running_mean, module.running_var
            ghost.num_batches_tracked = module.num_batches_tracked
            ghost.train(module.training)
            network.set_submodule(name, ghost)
