"""Parts of every training's config: where it runs, and how its processes share a batch."""

from dataclasses import dataclass
from typing import Any

from reidgen.config.base import Device, Part, Precision, check_counts, check_not_negative, check_seed, require
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Part):
    """Where and how a training computes, and how often it is kept.

    Attributes:
        device: Kind of device; "auto" is CUDA where there is one.
        precision: "bf16" and "fp16" compute a training in half precision where the network bears it.
        checkpoint_sec: Seconds between two checkpoints for resuming.
        seed: Of all that is drawn.
    """

    device: Device = "auto"
    precision: Precision = "float32"
    checkpoint_sec: float = 300
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "checkpoint_sec")
        check_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class DevicesConfig(TrainingConfig):
    """Processes that share each batch.

    Attributes:
        devices: GPUs of a machine, or processes on its CPU, that share each batch.
        nodes: Machines that share each batch; torchrun or SLURM starts the command on each.
    """

    devices: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        """How many processes share a batch."""
        return self.devices * self.nodes

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "devices", "nodes")


def check_shared_norm(config: Any, held: int) -> None:
    """Raise `ConfigError` unless ghost batches part the crops that a process holds at a time.

    Args:
        config: With `norm_batch` and the fields of `DevicesConfig`.
        held: The crops.
    """
    require(
        config.norm_batch is not None or config.processes == 1,
        f"With several {option('devices')}, say over how many crops batch normalisation works.",
        got=option(devices=config.devices) + (f" {option(nodes=config.nodes)}" if config.nodes > 1 else ""),
        allowed=f"{option(norm_batch='N')}, with which any number of devices gives the same result",
        fix=option(norm_batch=held),
    )
    require(
        config.norm_batch is None or (config.norm_batch >= 2 and held % config.norm_batch == 0),
        f"{option('norm_batch')} does not part what a device holds at a time.",
        got=f"{option(norm_batch=config.norm_batch)}, {held} crops at a time",
        allowed=f"a divisor of {held}, 2 or more",
        fix=option(norm_batch=held),
    )


def check_shared_batch(config: Any, *, normalised: bool = True) -> None:
    """Raise `ConfigError` unless the processes share a batch evenly.

    Args:
        config: With `batch`, `norm_batch` and the fields of `DevicesConfig`.
        normalised: Whether a network normalises over the batch: then each process holds two crops or more.
    """
    held, rest = divmod(config.batch, config.processes)
    least = 2 if normalised else 1
    require(
        rest == 0 and held >= least,
        f"{option('batch')} cannot be shared out evenly{', two crops or more at a time' if normalised else ''}.",
        got=f"{option(batch=config.batch)} {option(devices=config.devices)} {option(nodes=config.nodes)}",
        allowed=f"a multiple of {option('devices')} times {option('nodes')}",
        fix=option(batch=max(least, round(config.batch / config.processes)) * config.processes),
    )
    if normalised:
        check_shared_norm(config, held)
