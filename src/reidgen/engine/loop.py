"""The training loop: steps, bar, log, snapshots, checkpoints and cost. Every training runs in it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from reidgen.engine.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from reidgen.engine.devices.device import Fabric, in_processes, is_out_of_memory, starts_processes
from reidgen.engine.progress import no_progress, progress
from reidgen.engine.runs.run import RunFiles, RunFolder
from reidgen.errors import ReidgenError, TrainingError

LOOK_STEPS = 20  # between two looks at the figures: each look makes a GPU wait


class Training(Protocol):
    """What a training is to the loop. All that a step changes is in its `state`.

    Labels, samplers and losses that change between epochs are the training's own: it renews them in `advance`, at the
    first step of an epoch, and keeps in `state` what it cannot compute again.

    Attributes:
        fabric: The processes that share it. All of them call all methods but `write` and `state` alike.
        step: Steps done.
    """

    fabric: Fabric
    step: int

    def advance(self) -> None:
        """Do one step."""

    def shown(self) -> dict[str, float]:
        """Figures of the steps since the last record, for the eye; changes nothing."""

    def figures(self) -> dict[str, Any]:
        """The next record of metrics.jsonl; starts all sums anew."""

    def finite(self) -> bool:
        """Whether all figures and weights are numbers."""

    def diverged(self, folder: Path) -> TrainingError:
        """The error of a training that is not finite."""

    def write(self, folder: Path) -> None:
        """Write a snapshot and what people look at."""

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long a training is, and what comes when. The last step logs and writes; no checkpoint follows it.

    Attributes:
        label: Stands before the bar.
        steps: Of the whole training.
        log_steps: Steps between two records; of several numbers each counts.
        write_steps: Steps between two snapshots; without any there are none.
        images: Real images a step, where the length is told in images and the speed in seconds a thousand.
        checkpoint_sec: Seconds between two checkpoints.
    """

    label: str
    steps: int
    log_steps: tuple[int, ...]
    write_steps: tuple[int, ...] = ()
    images: int | None = None
    checkpoint_sec: float = 300

    def due(self, every: tuple[int, ...], step: int) -> bool:
        """Whether what comes each so many steps comes after this one."""
        return any(step % steps == 0 or step == self.steps for steps in every)

    def speed(self, step_sec: float) -> tuple[str, float]:
        """Unit and seconds, from the seconds of a step."""
        return ("step", step_sec) if self.images is None else ("kimg", step_sec / self.images * 1000)


def resume(run: RunFolder | RunFiles, training: Training) -> bool:
    """Go back to the run's checkpoint; whether there is one."""
    if (state := load_checkpoint(run)) is None:
        return False
    training.load(state.get("training", state))  # before version 0.2 that of a re-ID training lay open
    return True


def train(run: RunFolder | RunFiles, training: Training, plan: Plan) -> None:
    """Do the steps that are left.

    Raises:
        TrainingError: A figure or a weight stopped being a number; the last checkpoint stays.
    """
    first, each = training.fabric.is_global_zero, plan.images or 1
    began_sec, began_step = time.monotonic(), training.step
    saved_sec = began_sec
    shown = progress(plan.label, plan.steps * each, start=training.step * each) if first else no_progress()
    with shown as bar:
        while training.step < plan.steps:
            training.advance()
            bar.advance(each)
            step = training.step
            logs, writes = plan.due(plan.log_steps, step), plan.due(plan.write_steps, step)
            unit, sec = plan.speed((time.monotonic() - began_sec) / (step - began_step))
            if logs or writes or step % LOOK_STEPS == 0:
                if not training.finite():
                    raise training.diverged(run.path)
                bar.advance(0, **training.shown(), **{f"s/{unit}": sec})
            if logs:
                figures = training.figures()
                if first:
                    run.metrics.write(**figures)
            if writes and first:
                training.write(run.path)
            last, due = step == plan.steps, time.monotonic() - saved_sec >= plan.checkpoint_sec
            if first and (last or (due and training.finite())):  # the next look tells of what is not, in all processes
                if not last:  # the weights follow at once
                    save_checkpoint(run, {"training": training.state()})
                run.note_cost(**{f"sec_per_{unit}": round(sec, 4)}, **_gpu_peak(training.fabric.device))
                saved_sec = time.monotonic()


@contextmanager
def begun(fabric: Fabric, out: Path | str, **known: Any) -> Iterator[RunFolder | RunFiles]:
    """`RunFolder.begin` of a training, whose checkpoint goes when it is finished.

    Where torchrun or SLURM started several processes the first one begins and finishes the run.

    Raises:
        RunError: As `RunFolder.begin`, in all processes alike.
    """
    if not torch.distributed.is_initialized():
        with RunFolder.begin(out, **known) as run:
            yield run
            (run.path / CHECKPOINT).unlink(missing_ok=True)
        return
    if not fabric.is_global_zero:
        told: Any = fabric.broadcast(None)
        if isinstance(told, ReidgenError):
            raise told
        yield told
    else:
        waited_for = True
        try:
            with RunFolder.begin(out, **known) as run:
                fabric.broadcast(RunFiles(run.path, run.identity, run.done))
                waited_for = False
                yield run
                (run.path / CHECKPOINT).unlink(missing_ok=True)
        except ReidgenError as error:
            if waited_for:
                fabric.broadcast(error)
            raise
    fabric.barrier()  # what the first one writes at the end is there for all


def in_run(fabric: Fabric, run: RunFolder | RunFiles, function: Callable[..., Any], *arguments: Any) -> Any:
    """`in_processes` with the run as the function's second argument; new processes get the run's files."""
    files = RunFiles(run.path, run.identity) if starts_processes(fabric) else run
    return in_processes(fabric, function, files, *arguments)


@contextmanager
def memory_told(run: RunFolder | RunFiles, smaller: Callable[[], tuple[str, str]]) -> Iterator[None]:
    """Around a training: memory that runs out is a `TrainingError`.

    Args:
        run: Its run.
        smaller: What was asked for, and what to ask for in its place; called when it is needed.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        got, fix = smaller()
        kept = (run.path / CHECKPOINT).is_file()
        raise TrainingError(
            f"The training in {run.path} ran out of memory.",
            got=got,
            allowed=f"the checkpoint in {run.path} is kept" if kept else "there is no checkpoint yet",
            fix=fix,
        ) from error


def finite(*values: torch.Tensor, networks: tuple[torch.nn.Module, ...] = ()) -> bool:
    """Whether all values, weights and buffers are numbers; one wait for the device, whatever their number."""
    states = (state for network in networks for state in network.state_dict().values() if state.is_floating_point())
    return bool(torch.stack([value.isfinite().all() for value in (*values, *states)]).all())


def _gpu_peak(device: torch.device) -> dict[str, float]:
    """The most GPU memory that tensors took at once, for run.json; nothing on a CPU."""
    if device.type != "cuda":
        return {}
    return {"peak_gpu_memory_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 3)}
