import errno
import json
import shutil
from dataclasses import replace

import polars as pl
import pytest
from safetensors.torch import load_file

from reidgen.config import ReidConfig, SweepConfig
from reidgen.config.reid.ways import BEST
from reidgen.data.disk import parquet
from reidgen.data.table import ReidTable
from reidgen.engine.runs.records import read_json, write_checked
from reidgen.errors import ConfigError, DataError, RunError, TrainingError
from reidgen.evaluate import Result
from reidgen.models import resnet
from reidgen.report.sweep.sweep_page import write_sweep_report
from reidgen.sweep import run
from reidgen.sweep.launching import worker
from reidgen.sweep.result import SweepResult, write_points
from reidgen.sweep.run import describe, sweep
from tests.reid.unsupervised.conftest import TINY, people
from tests.reid.unsupervised.test_ways import turned, with_bodies
from tests.sweep.made import REID, Inline, generated_table, pretend, real_table


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    root = tmp_path_factory.mktemp("tables")
    return real_table(root / "real"), generated_table(root / "generated")


@pytest.fixture
def inline(monkeypatch):
    """Sweeps work in this process; the list has the workers of each call."""
    used = []

    def workers(*_):
        used.append(Inline())
        return used[-1]

    monkeypatch.setattr(run, "_workers", workers)
    return used


@pytest.fixture
def pretending(inline, monkeypatch):
    """The same, and runs compute nothing."""
    monkeypatch.setattr(worker, "run_point", pretend)
    return inline


def config(**changes):
    return SweepConfig(**{"axis": ("people=0,3",), "seeds": 2, "reid": REID, **changes})


@pytest.mark.slow
def test_every_point_is_trained_and_evaluated(tables, inline, tmp_path, capsys):
    real, generated = tables
    result = sweep(real, config(), generated=generated, out=tmp_path / "sweep")
    points = result.points
    assert points.select("axis_people", "seed", "status").rows() == [
        (0, 0, "done"), (0, 1, "done"), (3, 0, "done"), (3, 1, "done"),
    ]  # fmt: skip
    assert points["steps"].to_list() == [2] * 4  # 8 real crops in batches of 4, whatever was added
    assert points["generated_people"].to_list() == [0, 0, 3, 3]
    assert points["people_trained_on"].to_list() == [8, 8, 11, 11]
    for row in points.iter_rows(named=True):
        found = Result.read(tmp_path / "sweep" / "runs" / row["run"] / "result")
        assert (row["mAP"], row["rank1"], row["mAP_trapezoid"]) == (found.mAP, found.rank1, found.mAP_trapezoid)
        assert row["weights_hash"] == found.facts["model"] and row["test_hash"] == found.facts["crops"]
    written = pl.read_csv(tmp_path / "sweep" / "points.csv", schema=points.schema)
    assert points.equals(written)
    assert "[4/4] people-3/seed-1: mAP" in capsys.readouterr().err

    again = sweep(real, config(workers=7), generated=generated, out=tmp_path / "sweep")
    assert again.points.equals(points) and len(inline) == 1  # nothing was run


@pytest.mark.slow
def test_trainings_without_labels_are_swept(inline, tmp_path, monkeypatch):
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
    folder = tmp_path / "real"
    people(folder).write_metadata(folder)
    changes = {"trains": "unsupervised", "reid": ReidConfig(), "unsupervised": TINY, "seeds": 1}
    result = sweep(folder, config(axis=("beta=0.5,1",), **changes), out=tmp_path / "sweep")
    points = result.points
    assert points["status"].to_list() == ["done"] * 2
    assert points["steps"].to_list() == [TINY.epochs * TINY.epoch_steps] * 2
    assert points["clusters"].min() >= 2 and points["purity"].is_between(0, 1).all()
    first, other = (SweepResult.read(tmp_path / "sweep").folder / "runs" / run / "train" for run in points["run"])
    known = [load_file(one / "reid.safetensors")["classifier.weight"] for one in (first, other)]
    assert known[0].shape != known[1].shape or not known[0].equal(known[1])  # beta is about labels
    page = write_sweep_report(sweep=tmp_path / "sweep", out=tmp_path / "page").read_text()
    assert "beta" in page and "clusters beside people" in page and "rank-1 error, %" not in page


@pytest.mark.slow
def test_ways_of_using_turned_people_are_swept(inline, tmp_path, monkeypatch):
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
    real = with_bodies(tmp_path / "real")
    real.write_metadata(tmp_path / "real")
    turned(real, tmp_path / "turned", angles=BEST).write_metadata(tmp_path / "turned")
    small = replace(TINY, epochs=4, epoch_steps=1)
    names = ("baseline", "simple-1", "learned-sequential")
    asked = {"axis": (f"way={','.join(names)}",), "seeds": 1, "trains": "unsupervised", "length": "epochs"}
    both = SweepConfig(**asked, unsupervised=small)
    points = sweep(tmp_path / "real", both, generated=tmp_path / "turned", out=tmp_path / "sweep").points
    assert points["axis_way"].to_list() == list(names)
    assert points["status"].to_list() == ["done"] * 3
    assert points["steps"].to_list() == [4, 4, 8]
    assert points["generated_images"].to_list() == [0, 30, 120]
    for row in points.iter_rows(named=True):
        lines = (tmp_path / "sweep" / "runs" / row["run"] / "train" / "metrics.jsonl").read_text().splitlines()
        assert ("crop_weight" in json.loads(lines[-1])) == (row["axis_way"] == "learned-sequential")
    page = write_sweep_report(sweep=tmp_path / "sweep", out=tmp_path / "page").read_text()
    assert all(name in page for name in names)
    with pytest.raises(ConfigError, match="turned by 135 degrees"):
        sweep(tmp_path / "real", SweepConfig(**asked, unsupervised=small), out=tmp_path / "other")


def test_a_sweep_that_was_stopped_goes_on_and_may_grow(tables, pretending, tmp_path, monkeypatch):
    real, generated = tables
    whole = sweep(real, config(), generated=generated, out=tmp_path / "whole")

    def stop(self, timeout_sec):
        if len(self.seen) == 3:
            raise KeyboardInterrupt
        return wait(self, timeout_sec)

    wait = Inline.wait
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Inline, "wait", stop)
        sweep(real, config(), generated=generated, out=tmp_path / "sweep")
    part = SweepResult.read(tmp_path / "sweep").points
    assert part["status"].to_list() == ["done", "done", "missing", "missing"]
    resumed = sweep(real, config(), generated=generated, out=tmp_path / "sweep")
    assert pretending[-1].seen == ["people-3/seed-0", "people-3/seed-1"]
    assert resumed.points.equals(whole.points)

    more = sweep(real, config(seeds=3, axis=("people=0,2,3",)), generated=generated, out=tmp_path / "sweep")
    assert pretending[-1].seen == ["baseline/seed-2", *(f"people-2/seed-{n}" for n in range(3)), "people-3/seed-2"]
    assert more.points.height == 9 and more.points["status"].unique().to_list() == ["done"]
    with pytest.raises(RunError, match="holds another run"):
        sweep(real, config(length="epochs"), generated=generated, out=tmp_path / "sweep")


@pytest.mark.parametrize("writes", [0, 2])
def test_a_disk_that_is_too_full_for_the_points(tables, pretending, tmp_path, monkeypatch, writes):
    """Before the first run, and after the second one."""
    real, generated = tables
    written = []

    def full(folder, points):
        if len(written) == writes:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "points.csv"))
        written.append(write_points(folder, points))

    with monkeypatch.context() as patch, pytest.raises(RunError, match="disk is full") as told:
        patch.setattr(run, "write_points", full)
        sweep(real, config(), generated=generated, out=tmp_path / "sweep")
    assert "points.csv: No space left on device" in str(told.value) and "finished runs are kept" in str(told.value)
    assert sweep(real, config(), generated=generated, out=tmp_path / "sweep").points["status"].unique().to_list() == [
        "done"
    ]
    assert len(pretending[-1].seen) == 4 - writes


@pytest.mark.slow
def test_equal_epochs_are_more_steps_for_more_crops(tables, inline, tmp_path):
    real, generated = tables
    result = sweep(real, config(length="epochs", seeds=1), generated=generated, out=tmp_path / "sweep")
    assert result.points["steps"].to_list() == [2, 3]
    assert result.points["epochs"].to_list() == [1.0, 1.0]


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_that_points_failure(tables, inline, tmp_path):
    real, _ = tables
    asked = config(axis=("lr=0.05,1e30,0.04",), seeds=1)
    with pytest.raises(TrainingError, match="1 of 3 runs of the sweep failed") as told:
        sweep(real, asked, out=tmp_path / "sweep")
    assert "lr-1e-30/seed-0" not in str(told.value) and "1e+30" in str(told.value)
    points = SweepResult.read(tmp_path / "sweep").points
    assert points["status"].to_list() == ["done", "failed", "done"]
    assert points["mAP"].null_count() == 1
    assert "not a number" in points["error"][1]
    assert len(SweepResult.read(tmp_path / "sweep").failed) == 1
    with pytest.raises(TrainingError):
        sweep(real, asked, out=tmp_path / "sweep")
    assert len(inline[-1].seen) == 1  # only the one that failed is tried again


def test_errors_come_before_the_first_run(tables, pretending, tmp_path):
    real, generated = tables
    with pytest.raises(DataError, match="holds no table"):
        sweep(tmp_path / "nowhere", config(), generated=generated, out=tmp_path / "sweep")
    with pytest.raises(ConfigError, match="more generated people than there are"):
        sweep(real, config(axis=("people=0,320",)), generated=generated, out=tmp_path / "sweep")
    trainings = ReidTable.read(real).train
    trainings.write_metadata(tmp_path / "untested")
    shutil.copytree(real / "bounding_box_train", tmp_path / "untested" / "bounding_box_train", dirs_exist_ok=True)
    with pytest.raises(DataError, match="no query crops"):
        sweep(tmp_path / "untested", config(), generated=generated, out=tmp_path / "sweep")
    assert pretending == []
    result = sweep(real, config(seeds=1), generated=generated, out=tmp_path / "sweep")  # the folder was left free
    assert result.points.height == 2


def test_other_crops_are_another_sweep(tables, pretending, tmp_path):
    real, generated = tables
    moved = tmp_path / "moved"
    shutil.copytree(real, moved)
    sweep(real, config(seeds=1), generated=generated, out=tmp_path / "sweep")
    sweep(moved, config(seeds=1), generated=generated, out=tmp_path / "sweep")  # the same crops elsewhere
    with pytest.raises(RunError, match="holds another run"):
        sweep(real, config(seeds=1), generated=generated_table(tmp_path / "others", crops=4), out=tmp_path / "sweep")


def test_a_plan_says_what_it_costs(tables, pretending, tmp_path):
    real, generated = tables
    told = describe(real, config(), generated=generated, out=tmp_path / "sweep")
    assert told["runs"] == 4 and told["cost"]["steps"] == 8 and told["cost"]["crops"] == 32
    assert told["points"][3] == {"people": 3, "seed": 1, "run": "people-3/seed-1", "steps": 2}
    assert not (tmp_path / "sweep").exists()
    sweep(real, config(seeds=1), generated=generated, out=tmp_path / "sweep")
    told = describe(real, config(), generated=generated, out=tmp_path / "sweep")
    assert told["cost"]["finished_runs"] == 2 and told["cost"]["hours_of_one_worker_left"] >= 0
    own = describe(real, config(length="epochs"), generated=generated, out=tmp_path / "own")
    assert [point["steps"] for point in own["points"]] == [2, 2, 3, 3] and own["cost"]["steps"] == 10
    half = describe(real, config(length="epochs"), generated=tmp_path / "later", out=tmp_path / "own")
    assert half["cost"]["steps"] == "not known without the generated table"
    blind = describe(tmp_path / "later", SweepConfig(preset="people"), generated=generated, out=tmp_path / "new")
    assert blind["runs"] == 99 and "not known" in blind["cost"]["steps"]
    json.dumps(blind)


def test_what_is_no_sweep(tmp_path):
    with pytest.raises(RunError, match="holds no sweep"):
        SweepResult.read(tmp_path)


def test_a_sweep_of_another_version(tables, pretending, tmp_path):
    real, _ = tables
    sweep(real, config(axis=("lr=0.1",), seeds=1), out=tmp_path / "sweep")
    record = read_json(tmp_path / "sweep" / "run.json", {})
    record["config"]["reid"]["decay_at"] = 0.5
    write_checked(tmp_path / "sweep" / "run.json", record)
    with pytest.raises(RunError, match="does not know"):
        SweepResult.read(tmp_path / "sweep")


def test_options_come_back_from_the_record(tables, pretending, tmp_path):
    real, _ = tables
    asked = config(axis=("size=32x16,16x8",), seeds=1, reid=ReidConfig(**{**vars(REID), "steps": 1}))
    sweep(real, asked, out=tmp_path / "sweep")
    assert SweepResult.read(tmp_path / "sweep").config == asked
    assert SweepResult.read(tmp_path / "sweep").points["axis_size"].to_list() == ["32x16", "16x8"]


def test_a_damaged_table_of_points_is_told(tables, pretending, tmp_path):
    real, _ = tables
    sweep(real, config(axis=("lr=0.1",), seeds=1), out=tmp_path)
    points = tmp_path / "points.parquet"
    points.write_bytes(parquet.encode(pl.read_parquet(points).with_columns(mAP=pl.lit("high"))))
    with pytest.raises(RunError, match=r"points\.parquet is damaged\.\n  got: column mAP String"):
        SweepResult.read(tmp_path)
    points.write_bytes(b"PAR1")
    with pytest.raises(RunError, match=r"points\.parquet is damaged"):
        SweepResult.read(tmp_path)


def test_a_point_with_another_figure_is_told_and_not_counted(tables, pretending, tmp_path):
    real, _ = tables
    grown = config(axis=("lr=0.1",), seeds=2)
    sweep(real, config(axis=("lr=0.1",), seeds=1), out=tmp_path)
    (point,) = tmp_path.rglob("point.json")
    record = json.loads(point.read_text())
    for name, value in (("mAP", 0.99), ("mAP", "high")):
        point.write_text(json.dumps(record | {"found": record["found"] | {name: value}}))
        with pytest.raises(RunError, match=r"point\.json is damaged.\n  got: other values"):
            sweep(real, grown, out=tmp_path)
    point.write_text("{")
    with pytest.raises(RunError, match=r"point\.json is damaged"):
        sweep(real, grown, out=tmp_path)
    point.unlink()
    assert sweep(real, grown, out=tmp_path).points["status"].to_list() == ["done", "done"]
