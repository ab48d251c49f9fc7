"""What a recipe learns with: the optimiser on two learning rates, and how these go over the training."""

import math
from typing import Any

import torch

from reidgen.config import ScheduleConfig
from reidgen.models.reid.embedder import Embedder
from reidgen.models.reid.part_embedder import PartEmbedder

MOMENTUM, DECAY = 0.9, 0.1


def make_optimizer(network: Embedder | PartEmbedder, config: ScheduleConfig) -> torch.optim.Optimizer:
    """The optimiser of a recipe: the head at `lr`, the backbone at `backbone_lr` times it, weight decay on all."""
    backbone = list(network.backbone.parameters())
    known = {id(parameter) for parameter in backbone}
    head = [parameter for parameter in network.parameters() if id(parameter) not in known]
    return optimizer_of([{"params": backbone, "scale": config.backbone_lr}, {"params": head, "scale": 1.0}], config)


def optimizer_of(groups: list[dict[str, Any]], config: ScheduleConfig) -> torch.optim.Optimizer:
    """The optimiser of groups of parameters, each with its `scale` of the learning rate.

    "sgd" has Nesterov momentum 0.9. "adam" is Kingma and Ba 2015 with their betas, 0.9 and 0.999, and "amsgrad" its
    variant by Reddi et al. 2018; in both the decay is part of the gradient, as in the trainings of the recipes.
    """
    lr, decay = config.lr, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM, nesterov=True, weight_decay=decay)
    # fused: one pass over the moments instead of six, a tenth of a small network's step
    return torch.optim.Adam(groups, lr=lr, weight_decay=decay, amsgrad=config.optimizer == "amsgrad", fused=True)


def learning_rate(config: ScheduleConfig, progress: float) -> float:
    """The head's learning rate after a share of the training.

    It grows linearly from `warmup_from` times `lr` over the first `warmup` of the training. Schedule "step" divides it
    by ten at each share of `decay_at`; "cosine" takes it to 0 along half a cosine over the whole training.

    Args:
        config: Learning rate, warm-up and decay.
        progress: Share of the steps that are done, 0 <= progress < 1.
    """
    start = config.warmup_from
    warm = 1.0 if progress >= config.warmup else start + (1 - start) * progress / config.warmup
    if config.schedule == "cosine":
        return config.lr * warm * (1 + math.cos(math.pi * progress)) / 2
    return config.lr * warm * DECAY ** sum(progress >= share for share in config.decay_at)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each group of the optimiser its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def like_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Bring loaded moments into their parameters' memory order, in which a run that was never stopped has them.

    The order decides which of two instructions, that round differently, an element is computed with.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
