"""Train and evaluate re-ID networks in a process of its own: `python -m reidgen.quickstart_worker`."""

import functools
from pathlib import Path
from typing import Any

from reidgen.config import EvaluateConfig, ReidConfig, from_dict
from reidgen.data.table import ReidTable
from reidgen.engine.devices.workers import serve
from reidgen.engine.runs.lock import alone
from reidgen.evaluate import evaluate_reid
from reidgen.reid.train import train_reid
from reidgen.sweep.launching.worker import outcome
from reidgen.sweep.point import Order


def train_and_evaluate(order: Order) -> dict[str, Any]:
    """Do the work of an order, or go on with it, or find it done; mAP and rank-1, each from 0 to 1.

    Raises:
        ReidgenError: As `train_reid` and `evaluate_reid`.
    """
    folder = Path(order["model"])
    with alone(folder.with_name(f".{folder.name}.busy")):  # of a worker, say, that an interrupted run has left
        config = from_dict(ReidConfig, order["reid"])
        model = train_reid(ReidTable.read(order["table"]), config, out=folder)
        evaluate = EvaluateConfig(device=config.device, seed=config.seed)
        result = evaluate_reid(model, ReidTable.read(order["test"]), evaluate, out=Path(order["result"]))
    return {"mAP": result.mAP, "rank1": result.rank1}


if __name__ == "__main__":
    serve(functools.partial(outcome, train_and_evaluate))
