"""A finished sweep as `reidgen sweep` leaves it, without computing anything."""

from reidgen.config import SweepConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.sweep.launching.launch import Ended
from reidgen.sweep.plan import jobs, plan
from reidgen.sweep.result import points_table, write_points
from reidgen.sweep.run import WHERE
from tests.report.made import evaluation_run, people_run, training_run

DEFAULT_GAIN = {0: 0.0, 10: 0.004, 20: 0.02, 40: 0.05}


def figure_of(job, gain=DEFAULT_GAIN):
    """mAP: a level a seed, and a gain by people, or by the number in the name, with a wobble a seed."""
    people = 0 if job.extend is None else (job.extend.people or 40)
    level = 0.30 + 0.01 * job.seed - (0.1 if job.share < 1 else 0)
    return level + gain.get(people, 0.03) + 0.001 * ((job.seed * 7 + people) % 3)


def sweep_run(root, config, *, failed=(), unfinished=False, figure=figure_of):
    """Write the folder `root / "sweep"` with people in `root / "people"`; returns the folder."""
    people = ReidTable.read(people_run(root / "people"))
    folder = root / "sweep"
    run = RunFolder.begin(folder, stage="sweep", config=config, inputs={}, adjustable=WHERE)
    points = plan(config, generated=not config.arm, steps_of=lambda reid: 40)
    ended = {}
    for job in jobs(points):
        if job.name in failed:
            ended[job.name] = Ended(job.name, "failed", text="The training loss is not a number any more.\n  got: nan")
            continue
        added = 0 if job.extend is None else 5
        steps = job.training.steps or (40 + 10 * added)
        training = training_run(folder / "runs" / job.name / "train", seed=job.seed, steps=steps)
        (training / "reid.safetensors").write_bytes(f"weights {job.name}".encode())
        mAP = figure(job)
        named = type("Training", (), {"name": job.name})
        evaluation_run(
            folder / "runs" / job.name / "result", people, training=named, seed=job.seed, mAP=mAP, generated=added,
            steps=steps,
        )  # fmt: skip
        found = {"mAP": mAP, "mAP_trapezoid": mAP - 0.02, "mINP": mAP - 0.1, "rank1": mAP + 0.1, "rank5": mAP + 0.2}
        facts = {"steps": steps, "epochs": 1.0, "images": 4 + added, "people": 4, "generated_images": added}
        more = {"generated_people": 2 if added else 0, "generated_share": added / (4 + added), "protocol": "as market"}
        hashes = {"train_hash": "aa", "test_hash": "bb", "weights_hash": "cc", "queries": 3, "gallery": 3}
        cost = {"wall_sec": 12.5, "peak_memory_gib": 0.5}
        found |= {"rank10": mAP + 0.3, "rank20": 1.0, **facts, **more, **hashes, **cost}
        ended[job.name] = Ended(job.name, "done", found)
    write_points(folder, points_table(points, ended, config.axes))
    if unfinished:
        run.close()
    else:
        run.finish({})
    return folder


PEOPLE = SweepConfig(axis=("people=0,10,20,40",))
