"""Devices, processes, precision and random numbers; the only module that knows Fabric."""

import copy
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch

from reidgen.config import Device, Precision
from reidgen.errors import ConfigError, ReidgenError, TrainingError, option

if TYPE_CHECKING:
    from lightning_fabric import Fabric as Fabric
    from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
else:

    def __getattr__(name: str) -> Any:
        """Fabric, imported by trainings alone: it takes more than a second."""
        if name != "Fabric":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from lightning_fabric import Fabric

        return Fabric


_PRECISIONS: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
RUNNING = ("running_mean", "running_var")
_NO_MEMORY = ("can't allocate memory", "out of memory")  # in the RuntimeErrors of torch's allocators


def chosen(device: Device) -> torch.device:
    """The device that is meant; "auto" is CUDA where there is one.

    Raises:
        ConfigError: CUDA was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigError(
            f"{option(device='cuda')} was asked for, but no CUDA device is there.",
            got="cuda",
            allowed="auto, cpu",
            fix=option(device="cpu"),
        )
    torch.backends.cudnn.deterministic = True  # otherwise a resumed run does not repeat the bits of one never stopped
    return torch.device("cuda", 0) if device == "cuda" or (device == "auto" and available) else torch.device("cpu")


def setup(
    device: Device = "auto",
    precision: Precision = "float32",
    *,
    devices: int | None = None,
    nodes: int = 1,
    unused: Literal["none", "some"] = "none",
) -> "Fabric":
    """The Fabric of one process on one device, or of several processes that share the work; see `in_processes`.

    Under torchrun or SLURM the processes are those that they have started, and this is one of them.

    Args:
        device: Kind of device; "auto" is CUDA where there is one.
        precision: What the networks compute in.
        devices: Processes on each machine, each with a GPU of its own or a part of the CPU; None: this one alone,
            whatever has started it.
        nodes: Machines.
        unused: Whether steps leave "some" parameters without gradient, which several processes have to look for.

    Raises:
        ConfigError: CUDA was asked for and there is none, fewer GPUs than asked for, float16 on a CPU, or processes
            that nobody has started.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
    from lightning_fabric.strategies import DDPStrategy

    accelerator = chosen(device).type
    if accelerator == "cpu" and precision == "fp16":  # Fabric would take bfloat16 instead
        raise ConfigError(
            f"{option(precision='fp16')} is for GPUs.",
            got="fp16 on a CPU",
            allowed="float32, bf16",
            fix=option(precision="bf16"),
        )
    if accelerator == "cuda" and (devices or 1) > torch.cuda.device_count():
        raise ConfigError(
            f"There are fewer GPUs than {option('devices')}.",
            got=devices,
            allowed=f"1 to {torch.cuda.device_count()}",
            fix=option(devices=torch.cuda.device_count()),
        )
    if devices is not None:
        _check_started(devices, nodes)
    known: dict[str, Any] = {"accelerator": accelerator, "devices": devices or 1, "precision": _PRECISIONS[precision]}
    if shared := (devices or 1) * nodes > 1:
        # buffers are averaged by the loop (`average_buffers`), not taken from the first process
        known["strategy"] = DDPStrategy(
            start_method="spawn" if _started_by() is None else "popen",
            cluster_environment=_started_by() or LightningEnvironment(),  # not that of a job of one task
            broadcast_buffers=False,
            find_unused_parameters=unused == "some",
        )
    fabric = Fabric(num_nodes=nodes, **known)
    if shared and _started_by() is not None:
        fabric.launch()  # meets the others
    return fabric


def _started_by() -> "TorchElasticEnvironment | SLURMEnvironment | None":
    """What has started this process as one of several: torchrun or SLURM; None if nobody has."""
    from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect() and SLURMEnvironment().world_size() > 1:
        return SLURMEnvironment()
    return None


def _check_started(devices: int, nodes: int) -> None:
    started = _started_by()
    if started is None and nodes > 1:
        raise ConfigError(
            "Processes on several machines are started by torchrun or SLURM.",
            got=f"{option(nodes=nodes)}, and neither of the two",
            allowed="the same command on each machine",
            fix=f"torchrun --nnodes {nodes} --nproc-per-node {devices} --rdzv-endpoint HOST:PORT -m reidgen ...",
        )
    if started is not None and started.world_size() != devices * nodes:
        raise ConfigError(
            f"The processes that were started are not those of {option('devices')} and {option('nodes')}.",
            got=f"{started.world_size()} processes; {option(devices=devices)} {option(nodes=nodes)}",
            allowed="devices times nodes",
            fix=f"the {option('devices')} and {option('nodes')} of torchrun or srun",
        )


def starts_processes(fabric: "Fabric") -> bool:
    """Whether `in_processes` starts others, which neither one process nor torchrun's and SLURM's need."""
    return fabric.strategy.launcher is not None and _started_by() is None


def in_processes(fabric: "Fabric", function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function(fabric, *arguments)` in each of the Fabric's processes; what the first one returns.

    With one process it is a plain call. Others are started anew, so function and arguments have to be picklable, and
    the caller's script needs its `if __name__ == "__main__"`. They end with this process, however that ends.

    Raises:
        TrainingError: A process died.
        ReidgenError: What the function raised in all processes alike.
    """
    if not starts_processes(fabric):
        return function(fabric, *arguments)
    threads, others = max(1, torch.get_num_threads() // fabric.world_size), multiprocessing.active_children()
    try:
        found = fabric.launch(_guarded, _Work(function, threads, arguments))  # type: ignore[arg-type]
    except (torch.multiprocessing.ProcessRaisedException, torch.multiprocessing.ProcessExitedException) as error:
        raise TrainingError(
            "One of the processes of the training died.",
            got=_first_line(str(error)),
            fix=f"the same command again goes on from the last checkpoint; {option(devices=1)} does without processes",
        ) from error
    except KeyboardInterrupt:  # Python waits for them when it ends, and they wait for Python
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()
        raise
    if isinstance(found, ReidgenError):
        raise found
    return found


def _first_line(told: str) -> str:
    """Of what a process left behind the line that names the error; those after it may say anything."""
    lines = told.strip().splitlines()
    traces = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    last = lines[traces[-1] + 1 :] if traces else lines
    return next((line for line in last if line and not line.startswith(" ")), lines[-1])


class _Work:
    """What a process shall do. No dataclass: the launcher looks into those for networks, and refuses frozen ones."""

    def __init__(self, function: Callable[..., Any], threads: int, arguments: tuple[Any, ...]) -> None:
        self.function, self.threads, self.arguments = function, threads, arguments


def _guarded(fabric: "Fabric", work: _Work) -> Any:
    """In a process of its own: the function's result, or the user's error that it raised."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all, and the first one tells of it
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(work.threads)
    torch.backends.cudnn.deterministic = True
    try:
        found = work.function(fabric, *work.arguments)
    except ReidgenError as error:
        found = copy.copy(error)  # without tracebacks, whose frames would keep networks, and with them the group, alive
    # a thread of gloo that lets go of its last tensor while Python ends aborts the process (PyTorch's PR 179291)
    torch.distributed.destroy_process_group()
    return found


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """Without this a killed training leaves processes behind that go on writing into its folder."""
    parent.join()
    os._exit(1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def share_of(fabric: "Fabric", count: int) -> slice:
    """Which of `count` crops, a multiple of the processes, are this process's."""
    each = count // fabric.world_size
    return slice(fabric.global_rank * each, (fabric.global_rank + 1) * each)


def gathered(fabric: "Fabric", own: torch.Tensor) -> torch.Tensor:
    """The rows of all processes (N, ...), in order, of which this process's own keep their gradient.

    A loss of all rows, times the number of processes, then gives each process the gradient of its own rows, and
    averaging over the processes, as DDP does, their sum: the gradient of one process with all rows.
    """
    if fabric.world_size == 1:
        return own
    rows = [torch.empty_like(own, requires_grad=False) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(rows, own.detach().contiguous())
    rows[fabric.global_rank] = own
    return torch.cat(rows)


@torch.no_grad()
def sum_gradients(fabric: "Fabric", parameters: Sequence[torch.nn.Parameter]) -> None:
    """Give all processes the sum of their gradients; a parameter that has none anywhere keeps none."""
    if fabric.world_size == 1:
        return
    has = torch.tensor([float(parameter.grad is not None) for parameter in parameters], device=fabric.device)
    moved = [parameter for parameter, count in zip(parameters, summed(fabric, has).tolist(), strict=True) if count]
    grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in moved]
    total = summed(fabric, torch.cat([grad.flatten() for grad in grads]))
    for parameter, whole in zip(moved, total.split([grad.numel() for grad in grads]), strict=True):
        parameter.grad = whole.view_as(parameter)


@torch.no_grad()
def summed(fabric: "Fabric", own: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all processes."""
    if fabric.world_size == 1:
        return own
    total = fabric.all_reduce(own, reduce_op="sum")
    assert isinstance(total, torch.Tensor)
    return total


@torch.no_grad()
def average_buffers(fabric: "Fabric", network: torch.nn.Module) -> None:
    """Give all processes the mean of their running statistics, of batch normalisation.

    With parts of equal size it is what one process has that sees all parts (see `GhostBatchNorm`).
    """
    if fabric.world_size == 1:
        return
    buffers = [buffer for name, buffer in network.named_buffers() if name.rpartition(".")[2] in RUNNING]
    if not buffers:
        return
    means = fabric.all_reduce(torch.cat([buffer.flatten() for buffer in buffers]), reduce_op="mean")
    assert isinstance(means, torch.Tensor)
    for buffer, mean in zip(buffers, means.split([buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))


@contextmanager
def seeded(device: torch.device, *parts: int | str) -> Iterator[None]:
    """Let layers that draw from torch's own state, as drop paths do, draw from `derive_seed(*parts)`.

    Afterwards that state is the caller's again, on the CPU and on `device`.
    """
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(derive_seed(*parts))
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(derive_seed(*parts))
        yield


def derive_seed(*parts: int | str) -> int:
    """A seed of 63 bits for anything that has a name: the same parts give the same seed, whatever was drawn before.

    One sampled image, one epoch or one step each have a seed of their own, so that nothing depends on batch size or
    order.

    >>> derive_seed(0, "person", 1)
    6784347104021006888
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator seeded with `derive_seed(*parts)`."""
    return torch.Generator(device).manual_seed(derive_seed(*parts))
