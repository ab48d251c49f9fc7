"""What recipe `ide` learns with: SGD on two step sizes, and how these go over the training."""

import torch

from reidgen.config import ReidConfig
from reidgen.models.embedder import Embedder

MOMENTUM, DECAY, WARMUP_FROM = 0.9, 0.1, 0.1


def make_optimizer(network: Embedder, config: ReidConfig) -> torch.optim.SGD:
    """SGD with Nesterov momentum 0.9: the head at `lr`, the backbone at `backbone_lr` times it.

    The source's baseline: lr 0.05, factor 0.1, weight decay 5e-4 on everything.
    """
    backbone = list(network.backbone.parameters())
    known = {id(parameter) for parameter in backbone}
    head = [parameter for parameter in network.parameters() if id(parameter) not in known]
    groups = [{"params": backbone, "scale": config.backbone_lr}, {"params": head, "scale": 1.0}]
    return torch.optim.SGD(groups, lr=config.lr, momentum=MOMENTUM, nesterov=True, weight_decay=config.weight_decay)


def learning_rate(config: ReidConfig, progress: float) -> float:
    """The head's step size after a share of the training.

    It grows linearly from a tenth over the first `warmup` of the training, and is divided by ten from `decay_at` on.

    Args:
        config: The training.
        progress: Share of the steps that are done, 0 <= progress < 1.
    """
    warm = 1.0 if progress >= config.warmup else WARMUP_FROM + (1 - WARMUP_FROM) * progress / config.warmup
    return config.lr * warm * (DECAY if progress >= config.decay_at else 1.0)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each group of the optimiser its share of the step size."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]
