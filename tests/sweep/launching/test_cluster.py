"""Sweeps on a Ray cluster of several machines, pretended on this one."""

import builtins
import importlib.util
import os
import subprocess
import sys

import pytest

from reidgen.config import SweepConfig
from reidgen.errors import MissingExtraError
from reidgen.sweep.launching.cluster import RayWorkers
from tests.sweep.made import generated_table, real_table
from tests.sweep.test_resume import GRID, SHORT, TINY, command, content

# A head without CPUs and two machines with one each; one of the two is lost while its run has a checkpoint.
ON_CLUSTER = """
import sys, threading, time
from pathlib import Path
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
cluster.wait_for_nodes()
out = Path(sys.argv[sys.argv.index("--out") + 1])

def lose_one():
    while not list(out.glob("runs/*/*/train/checkpoint.safetensors")):
        time.sleep(0.01)
    cluster.remove_node(machines[0], allow_graceful=False)

threading.Thread(target=lose_one, daemon=True).start()
from reidgen.cli import main
main([*sys.argv[1:], "--ray-address", cluster.address])
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="the extra `ray` is not installed")
def test_a_run_of_a_lost_machine_goes_on_elsewhere(tmp_path):
    real_table(tmp_path / "real")
    generated_table(tmp_path / "generated")
    whole, out = tmp_path / "whole", tmp_path / "sweep"
    subprocess.run(command(tmp_path, whole), check=True, capture_output=True)
    arguments = [*command(tmp_path, out)[3:], "--launcher", "ray"]
    quiet = {
        **os.environ,
        "RAY_DEDUP_LOGS": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300",
        "RAY_agent_register_timeout_ms": "600000",
    }
    done = subprocess.run(
        [sys.executable, "-c", ON_CLUSTER, *arguments], capture_output=True, text=True, env=quiet, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "4 points (4 done)" in done.stdout
    assert "the worker died: NodeDiedError" in done.stderr and "its run is taken up again" in done.stderr
    assert content(out) == content(whole)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="the extra `ray` is not installed")
def test_no_cluster_and_too_small_machines(tmp_path):
    real_table(tmp_path / "real")
    asked = ["--real", str(tmp_path / "real"), "--out", str(tmp_path / "sweep"), *TINY, *SHORT, "--axis", "lr=0.1"]

    def said(*more):
        arguments = [sys.executable, "-m", "reidgen", "sweep", *asked, "--seeds", "1", "--launcher", "ray", *more]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        return done.stderr

    assert "There is no Ray cluster that can be joined." in said()
    assert "No machine of the cluster has room for a run." in said("--ray-address", "local", "--threads", "999")
    assert GRID  # the grid of the other test


def test_ray_is_an_extra(monkeypatch):
    whole = builtins.__import__

    def refuse(name, *rest):
        if name == "ray":
            raise ModuleNotFoundError(name, name=name)
        return whole(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'reidgen\[ray\]'"):
        RayWorkers(SweepConfig(), gpu=False)
