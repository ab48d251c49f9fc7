"""What trainings with adversaries share: networks, optimisers, falling learning rate, figures, state."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from reidgen.data.table import ReidTable
from reidgen.engine.devices.bfloat16 import sound_bfloat16
from reidgen.engine.devices.device import Fabric, average_buffers, share_of, sum_gradients, summed
from reidgen.engine.devices.device import generator as random_generator
from reidgen.engine.loop import Plan, finite, memory_told, resume, train
from reidgen.engine.runs.run import RunFiles, RunFolder
from reidgen.errors import TrainingError, option
from reidgen.generators.pictures.sheets import write_sheet
from reidgen.generators.training.updates import add_gradients, clear_gradients

BETA2 = 0.999
SHOWN = 8  # crops of a sheet
LOG_RECORDS, LOG_STEPS = 50, 100  # a log record each so many steps, but at least so many in a run


class AdversarialTraining(ABC):
    """A training of networks that learn against each other, and everything that must be kept to go on exactly.

    Random numbers are drawn from generators seeded by (seed, purpose, step), so there is no random state to keep. All
    processes draw for the whole batch and compute their part of it, so any number of them that divides the batch
    computes the same, up to rounding.

    Attributes:
        config: With batch, lr, beta1, decay, steps, seed and precision.
        own: Which crops of a batch are this process's.
        networks: All of them by name; between two steps in evaluation mode.
        optimisers: Adam for each group of networks that moves together, by name.
        step: Steps done.
        sums: Sums of `NAMES` since the last log record, and how many steps they run over.
    """

    KIND: ClassVar[str]  # begins the seeds
    SHEET: ClassVar[str]  # begins the sheets' names
    NAMES: ClassVar[tuple[str, ...]]
    GROUPS: ClassVar[dict[str, tuple[str, ...]]]  # networks that move together

    def __init__(self, config: Any, fabric: Fabric, networks: nn.ModuleDict) -> None:
        self.config, self.fabric = config, fabric
        self.own = share_of(fabric, config.batch)
        self.networks = networks.to(fabric.device).eval()
        moving = {name: self.moving(members) for name, members in self.GROUPS.items()}
        self.parameters = {name: [one for part in parts for one in part["params"]] for name, parts in moving.items()}
        self.optimisers = {
            name: torch.optim.Adam(parts, lr=config.lr, betas=(config.beta1, BETA2), fused=True)
            for name, parts in moving.items()
            if self.parameters[name]
        }
        self.step, self.summed = 0, 0
        self.sums = torch.zeros(len(self.NAMES), dtype=torch.float64, device=fabric.device)

    @abstractmethod
    def play(self) -> Sequence[Tensor]:
        """Move all networks by the batch of this step; returns one figure for each of `NAMES`."""

    @abstractmethod
    def sheet(self) -> np.ndarray:
        """Crops and what becomes of them, row by row: uint8 (SHOWN * columns, H, W, 3)."""

    def moving(self, members: Sequence[str]) -> list[dict[str, Any]]:
        """Parameters of a group of networks, in parts with the `share` of the learning rate that each moves by."""
        there = [member for member in members if member in self.networks]
        return [{"params": [one for member in there for one in self.networks[member].parameters()], "share": 1.0}]

    @property
    def rate(self) -> float:
        """Adam's learning rate now: constant, then falling to 0 over the last `decay` of the steps."""
        falling = self.config.decay * self.config.steps
        left = self.config.steps - self.step
        return self.config.lr * (min(1.0, left / falling) if falling else 1.0)

    def advance(self) -> None:
        """One step of all networks."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.rate * group.get("share", 1.0)  # checkpoints of before have none
        self.networks.train()
        self.sums += self.mean(torch.stack(list(self.play())).detach().double())
        self.networks.eval()
        average_buffers(self.fabric, self.networks)
        self.summed += 1
        self.step += 1

    def shown(self) -> dict[str, float]:
        """The losses since the last record."""
        return {name: value for name, value in self._figures().items() if name in ("loss_g", "loss_d")}

    def figures(self) -> dict[str, Any]:
        """Means since the last call, and the counters; starts the sums anew."""
        figures = self._figures()
        self.sums.zero_()
        self.summed = 0
        return figures

    def _figures(self) -> dict[str, float]:
        means = (self.sums / max(self.summed, 1)).tolist()
        return {"step": self.step, "lr": self.rate, **dict(zip(self.NAMES, means, strict=True))}

    def finite(self) -> bool:
        """Whether all figures since the last record, the weights and the running statistics are numbers."""
        return finite(self.sums, networks=(self.networks,))

    def diverged(self, folder: Path) -> TrainingError:
        """The error of a training that is not finite."""
        return TrainingError(
            f"The training in {folder} diverged: a loss or a weight is not a number after {self.step:,} steps.",
            got=f"lr {self.config.lr}, precision {self.config.precision}",
            allowed="the last checkpoint and the sheets stay",
            fix=f"another {option('out')} with a smaller {option('lr')}, or {option(precision='float32')}",
        )

    def write(self, folder: Path) -> None:
        """A sheet of crops and what becomes of them."""
        sheet = self.sheet()
        write_sheet(folder / f"{self.SHEET}-{self.step:08d}.png", sheet, columns=len(sheet) // SHOWN)

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {
            "networks": self.networks.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "sums": self.sums,
            "summed": self.summed,
            "step": self.step,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        self.networks.load_state_dict(state["networks"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.sums = state["sums"].to(self.fabric.device)
        self.summed, self.step = state["summed"], state["step"]

    def random(self, purpose: str) -> torch.Generator:
        """The random numbers of this step for a purpose."""
        return random_generator(self.KIND, self.config.seed, purpose, self.step)

    def mean(self, own: Tensor) -> Tensor:
        """The mean over the processes of what each has of its part of the batch."""
        return summed(self.fabric, own) / self.fabric.world_size

    def autocast(self) -> torch.autocast:
        """Computes convolutions in bfloat16 where the config says so."""
        half = self.config.precision == "bf16"
        return torch.autocast(self.fabric.device.type, dtype=torch.bfloat16, enabled=half)

    def move(self, group: str, loss: Tensor) -> None:
        """One update of a group of networks, and of no others."""
        clear_gradients(self.parameters[group])
        add_gradients(loss / self.fabric.world_size, self.parameters[group])
        sum_gradients(self.fabric, self.parameters[group])
        self.optimisers[group].step()


Learning = TypeVar("Learning", bound=AdversarialTraining)


def learn(
    fabric: Fabric, run: RunFolder | RunFiles, config: Any, begin: Callable[[], Learning], *, label: str
) -> tuple[Learning, dict[str, Any]]:
    """Train to the end, or from the run's checkpoint to the end.

    Args:
        fabric: The processes.
        run: Its run.
        config: With steps, snapshot_steps, checkpoint_sec, batch, width, size and precision.
        begin: Makes the training before its first step.
        label: Stands before the bar.

    Returns:
        The training, and for the run's summary what was kept in float32.

    Raises:
        TrainingError: A loss stopped being a number, or memory ran out; the last checkpoint stays.
    """
    asked = f"batch {config.batch}, width {config.width}, {config.size[0]}x{config.size[1]}"
    smaller = f"a smaller {option('batch')} or {option('width')}, in another {option('out')}"
    plan = Plan(
        label=label,
        steps=config.steps,
        log_steps=(max(min(LOG_STEPS, config.steps // LOG_RECORDS), 1),),
        write_steps=(config.snapshot_steps,),
        checkpoint_sec=config.checkpoint_sec,
    )
    with memory_told(run, lambda: (asked, smaller)):
        training = begin()
        resume(run, training)
        with sound_bfloat16(fabric.device, config.precision, tell=fabric.is_global_zero) as kept:
            train(run, training, plan)
    return training, {"kept_in_float32": kept} if kept else {}


def facts_of(table: ReidTable, config: Any) -> dict[str, Any]:
    """What was learned from, and for how long, for the run's summary and the weights' file."""
    return {
        "split": config.split,
        "images": len(table),
        "table": table.hash(),
        "origins": sorted(table.rows["origin"].unique().to_list()),
        "people": table.rows["pid"].n_unique(),
        "steps": config.steps,
    }
