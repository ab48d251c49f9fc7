"""One run of a sweep: make the table, train, evaluate, and write down what is needed to compare it with the others."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidgen.config import EvaluateConfig, ExtendConfig, ReidConfig, UnsupervisedConfig, as_dict, from_dict
from reidgen.engine.runs import tensorboard
from reidgen.engine.runs.lock import alone
from reidgen.engine.runs.records import read_json, write_checked
from reidgen.engine.runs.run import read_run
from reidgen.errors import RunError, again, command
from reidgen.sweep.plan import Job, Training

if TYPE_CHECKING:
    from reidgen.backbones.reid_model import ReidModel
    from reidgen.data.table import ReidTable

RECORD = "point.json"
TRAIN, RESULT = "train", "result"
FIGURES = ("mAP", "mAP_trapezoid", "rank1", "rank5", "rank10", "rank20", "mINP")
FACTS = ("steps", "epochs", "images", "people", "generated_images", "generated_people", "generated_share")
CLUSTERS = ("clusters", "outliers", "purity", "nmi")  # of the last epoch of a training without labels
TRAINS: dict[type, str] = {ReidConfig: "reid", UnsupervisedConfig: "unsupervised"}
Order = dict[str, Any]


def order_of(
    job: Job,
    *,
    evaluate: EvaluateConfig,
    real: Path,
    generated: Path | None,
    out: Path,
    hashes: dict[str, str | None],
) -> Order:
    """A job as plain JSON, for a worker in another process or on another machine.

    `asked` is what the result depends on; the rest is where things are.
    """
    asked = {
        "share": job.share,
        "seed": job.seed,
        "extend": None if job.extend is None else as_dict(job.extend),
        TRAINS[type(job.training)]: as_dict(job.training),
        "evaluate": as_dict(evaluate),
        "inputs": hashes,
    }
    return {
        "name": job.name,
        "asked": asked,
        "real": str(real.absolute()),
        "generated": str(generated.absolute()) if generated is not None and job.takes_generated else None,
        "folder": str((out / "runs" / job.name).absolute()),
        "steps": job.steps,
        "tensorboard": tensorboard.is_on(),  # a worker on another machine does not have this one's environment
    }


def finished(order: Order) -> dict[str, Any] | None:
    """What the run found, if it was made before with the same options and crops."""
    known = read_point(Path(order["folder"]))
    same = known is not None and known["asked"] == json.loads(json.dumps(order["asked"]))
    return known["found"] if known is not None and same else None


def write_point(folder: Path, asked: dict[str, Any], found: dict[str, Any]) -> None:
    """Write what a run was asked and what it found, with a hash."""
    write_checked(folder / RECORD, {"asked": asked, "found": found})


def read_point(folder: Path) -> dict[str, Any] | None:
    """What `write_point` wrote; None where there is nothing yet. One of an earlier version has no hash.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return read_json(path, {"asked": dict, "found": dict})
    except RunError as error:
        remove = f"{command('rm', path)}, and the same command writes it again from the run's folders"
        raise again(RunError, error.parts, fix=remove) from error


def run_point(order: Order) -> dict[str, Any]:
    """Do the work of an order, or go on with it, or find it done.

    Raises:
        ReidgenError: As `extend`, `train_reid` and `evaluate_reid`.
    """
    folder, asked = Path(order["folder"]), order["asked"]
    if order["tensorboard"]:
        tensorboard.turn_on()
    with alone(folder / ".busy"):  # of a worker, say, that an interrupted sweep has left
        before = finished(order)
        if before is not None:
            return before
        from reidgen.evaluate import evaluate_reid
        from reidgen.reid.ranking.rankings import as_trained
        from reidgen.sweep.tables import beside, read_table, table_of

        real = read_table(Path(order["real"]))
        generated = None if order["generated"] is None else read_table(Path(order["generated"]))
        extend = None if asked["extend"] is None else from_dict(ExtendConfig, asked["extend"])
        kind = next(kind for kind, name in TRAINS.items() if name in asked)
        training: Training = from_dict(kind, asked[TRAINS[kind]])
        test = from_dict(EvaluateConfig, asked["evaluate"])
        if isinstance(training, ReidConfig):  # whatever recipe a start is of that is measured as it is
            test = as_trained(test, training)
        job = Job(order["name"], asked["seed"], asked["share"], extend, training)
        table = table_of(job, real, generated)
        model = _train(table, beside(table, real, generated, training), training, folder / TRAIN)
        result = evaluate_reid(model, real, test, out=folder / RESULT)
        runs = [read_run(folder / part) for part in (TRAIN, RESULT)]
        costs = [run["cost"] for run in runs]
        found = {
            **{name: getattr(result, name) for name in FIGURES},
            **{name: result.facts[name] for name in FACTS},
            **{name: value for name, value in runs[0]["summary"].items() if name in CLUSTERS},
            "queries": result.num_queries,
            "gallery": result.num_gallery,
            "protocol": result.protocol,
            "train_hash": result.facts["table"],
            "test_hash": result.facts["crops"],
            "weights_hash": result.facts["model"],
            "wall_sec": round(sum(cost["wall_sec"] for cost in costs), 3),
            "peak_memory_gib": max(cost["peak_memory_gib"] for cost in costs),
        }
        write_point(folder, asked, found)
        return found


def _train(table: "ReidTable", generated: "ReidTable | None", training: Training, out: Path) -> "ReidModel":
    if isinstance(training, UnsupervisedConfig):
        from reidgen.reid.unsupervised.train_unsupervised import train_unsupervised

        return train_unsupervised(table, training, generated=generated, out=out)
    if not len(table.train):
        from reidgen.sweep.start import start_network

        return start_network(training, out=out)
    from reidgen.reid.train import train_reid

    return train_reid(table, training, out=out)
