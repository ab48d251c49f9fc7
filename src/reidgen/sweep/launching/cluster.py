"""Workers on a Ray cluster whose machines share the disk on which the run folders are."""

import os
import time
from typing import Any

from reidgen.config import SweepConfig
from reidgen.errors import ConfigError, importing, option
from reidgen.sweep.launching.launch import Ended
from reidgen.sweep.point import Order

THREADS = 4  # CPU threads of a worker where nothing else is said


class RayWorkers:
    """Tasks of a cluster, each with its CPUs and, where asked, a GPU.

    Ray's own retries are off: a run whose machine is lost is taken up again by the sweep, from its checkpoint, wherever
    there is room.

    Args:
        config: The sweep, with the cluster's address.
        gpu: Whether each task takes a GPU.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: There is no cluster at the address, or none of its machines has room for a task.
    """

    def __init__(self, config: SweepConfig, *, gpu: bool) -> None:
        with importing("ray", extra="ray", purpose=option(launcher="ray")):
            import ray
        self._ray, self._needs = ray, {"CPU": config.threads or THREADS, "GPU": int(gpu)}
        self._own = not ray.is_initialized()
        if self._own:
            _connect(ray, config.ray_address)
        self._check_room()
        self._most = config.workers
        task = ray.remote(_work)
        self._task = task.options(num_cpus=self._needs["CPU"], num_gpus=self._needs["GPU"], max_retries=0)
        self._running: dict[Any, str] = {}

    def free(self) -> int:
        """Room on the machines that are there now, less what runs."""
        fits = sum(self._fits(node) for node in self._nodes())
        return (fits if self._most is None else min(self._most, fits)) - len(self._running)

    def start(self, order: Order) -> None:
        """Hand an order to the cluster."""
        self._running[self._task.remote(order)] = order["name"]

    def wait(self, timeout_sec: float) -> list[Ended]:
        """Answers, and tasks whose process or machine is gone."""
        if not self._running:  # no machine has room now; one may come
            time.sleep(timeout_sec)
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=timeout_sec)
        return [self._ended(self._running.pop(task), task) for task in ready]

    def close(self) -> None:
        """Stop what runs, and leave the cluster."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._running.clear()
        if self._own:
            self._ray.shutdown()

    def _ended(self, name: str, task: Any) -> Ended:
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(task)
        except errors.RayTaskError as error:  # of the task's own code, which another machine would meet too
            return Ended(name, "failed", text=str(error).splitlines()[-1])
        except errors.RayError as error:
            return Ended(name, "lost", text=f"the worker died: {type(error).__name__}: {str(error).splitlines()[0]}")
        return Ended(name, answer["ended"], answer["found"], answer["text"])

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _fits(self, node: dict[str, float]) -> int:
        return min(int(node.get(name, 0) // need) for name, need in self._needs.items() if need)

    def _check_room(self) -> None:
        if not any(self._fits(node) for node in self._nodes()):
            raise ConfigError(
                "No machine of the cluster has room for a run.",
                got="; ".join(", ".join(f"{k} {node.get(k, 0):g}" for k in self._needs) for node in self._nodes()),
                allowed=" and ".join(f"{name} {need}" for name, need in self._needs.items() if need),
                fix=option(threads=1) if self._needs["CPU"] > 1 else "machines with CPUs",
            )


def _connect(ray: Any, address: str) -> None:
    """Join a cluster, or start one on this machine."""
    try:
        ray.init(address=None if address == "local" else address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError) as error:
        raise ConfigError(
            "There is no Ray cluster that can be joined.",
            got=f"{option(ray_address=address)}: {str(error).splitlines()[0]}",
            allowed="the address of a running cluster",
            fix=f"{option(ray_address='local')}, or ray start --head on one machine "
            "and ray start --address HEAD on the others",
        ) from error


def _work(order: Order) -> dict[str, Any]:
    """Runs on a machine of the cluster."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded; see reidgen.cli
    from reidgen.sweep.launching.worker import report_of

    return report_of(order)
