"""Tables of a few people and workers without processes, which tests of sweeps share."""

from pathlib import Path

from reidgen.config import AugmentConfig, ReidConfig
from reidgen.sweep.launching.launch import Ended
from reidgen.sweep.launching.worker import report_of
from reidgen.sweep.point import finished, write_point
from tests.factories import make_table

REID = ReidConfig(
    backbone="resnet18",
    weights="random",
    size=(32, 16),
    bottleneck=8,
    batch=4,
    epochs=1,
    device="cpu",
    augment=AugmentConfig(pad=2),
)


def real_table(folder):
    """8 train people of 2 crops, 3 test people."""
    pids = [pid for pid in range(1, 9) for _ in (0, 1)] + [9, 10, 11] * 2
    splits = ["train"] * 16 + ["query"] * 3 + ["gallery"] * 3
    camids = [1, 2] * 8 + [1] * 3 + [2] * 3
    make_table(pids, camids, splits=splits, root=folder, name="real").write_metadata(folder)
    return folder


def generated_table(folder, *, people=3, crops=3):
    """People of so many crops each, all kept."""
    pids = [pid for pid in range(1, people + 1) for _ in range(crops)]
    table = make_table(pids, root=folder, origin=["generated"] * len(pids), name="generated")
    table.write_metadata(folder)
    return folder


def variants_table(folder, real):
    """Three crops for each real train person, made of the first one."""
    first = [f"bounding_box_train/{pid:04d}_c1s1_{2 * (pid - 1):06d}_00.jpg" for pid in range(1, 9)]
    pids = [pid for pid in range(1, 9) for _ in range(3)]
    columns = {"origin": ["generated"] * 24, "parent": [first[pid - 1] for pid in pids], "score_identity": [1.0] * 24}
    make_table(pids, root=folder, name="variants", **columns).write_metadata(folder)
    return folder


class Inline:
    """One worker in this process. `die` names runs whose worker dies, and how often."""

    def __init__(self, die=(), work=report_of):
        self.die, self.work, self.seen, self.order, self.closed = list(die), work, [], None, False

    def free(self):
        return self.order is None

    def start(self, order):
        self.seen.append(order["name"])
        self.order = order

    def wait(self, timeout_sec):
        order, self.order = self.order, None
        if order["name"] in self.die:
            self.die.remove(order["name"])
            return [Ended(order["name"], "lost", text="the worker died by SIGKILL")]
        answer = self.work(order)
        return [Ended(order["name"], answer["ended"], answer["found"], answer["text"])]

    def close(self):
        self.closed = True


def pretend(order):
    """What a run leaves, without computing: figures that depend on what was asked alone."""
    asked = order["asked"]
    before = finished(order)
    if before is not None:
        return before
    added = asked["extend"]
    more = 0 if added is None else 0.01 * (added["people"] or 1)
    base = 0.3 + 0.02 * asked["seed"] + more
    figures = {"mAP": base, "mAP_trapezoid": base - 0.02, "rank1": base + 0.1, "mINP": base - 0.1}
    facts = {"steps": order["steps"] or 1, "epochs": 1.0, "images": 8, "people": 8, "protocol": "pretended"}
    crops = {"generated_images": 0 if added is None else 9, "generated_people": 0, "generated_share": 0.0}
    hashes = {"train_hash": "aa", "test_hash": "bb", "weights_hash": "cc", "queries": 3, "gallery": 3}
    found = {**figures, "rank5": 0.8, "rank10": 0.9, "rank20": 1.0, **facts, **crops, **hashes}
    found |= {"wall_sec": 0.5, "peak_memory_gib": 0.1}
    write_point(Path(order["folder"]), asked, found)
    return found
