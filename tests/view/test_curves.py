"""Figures of runs as they grow."""

import json

import pytest

from reidgen.config import ReportConfig
from reidgen.engine import RunFolder
from reidgen.engine.runs.records import write_checked
from tests.view.made import answers_of, client_of, written


@pytest.fixture
def run(tmp_path):
    with RunFolder.begin(tmp_path / "run", stage="train-reid", config=ReportConfig()) as begun:
        begun.metrics.write(step=1, loss=2.5, warning="none", val_loss=float("nan"))
        begun.metrics.write(step=2, loss=2.0)
        yield begun


def curves(client, known=-1):
    return client.get(f"/curves/0?known={known}").json


def test_records_of_a_training_that_goes_on(run):
    client = client_of(answers_of([run.path]))
    assert client.get("/about").json["runs"] == [str(run.path)]
    first = curves(client)
    assert (first["stage"], first["status"]) == ("train-reid", "running")
    assert first["records"] == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 2.0}]
    assert curves(client, first["size"])["records"] is None, "nothing has come"
    with (run.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 3, "lo')
    half = curves(client, first["size"])
    assert len(half["records"]) == 2, "a line that is not whole yet is no record"
    with (run.path / "metrics.jsonl").open("a") as stream:
        stream.write('ss": 1.5}\n')
    assert curves(client, half["size"])["records"][2] == {"step": 3, "loss": 1.5}
    run.metrics.rewind(first["size"])
    assert len(curves(client, half["size"])["records"]) == 2, "a run that goes on from a checkpoint takes back"
    run.finish({})
    assert curves(client)["status"] == "done"


def test_the_fidelity_of_snapshots_as_they_are_measured(tmp_path):
    figures = tmp_path / "fidelity" / "figures"
    for name, fid in (("snapshot-000002.5", 40.0), ("snapshot-000001", 90.0)):
        write_checked(figures / f"{name}.json", {"fid": fid, "precision": 0.5, "recall": None, "kid": {"mean": 1}})
    write_checked(figures / "floor.json", {"fid": 3.0})
    client = client_of(answers_of([tmp_path / "fidelity"]))
    found = curves(client)
    assert [(one["kimg"], one["fid"], one["precision"]) for one in found["records"]] == [
        (1.0, 90.0, 0.5),
        (2.5, 40.0, 0.5),
    ]
    assert curves(client, found["size"])["records"] is None
    write_checked(figures / "snapshot-000010.json", {"fid": 20.0})
    assert curves(client, found["size"])["records"][-1] == {"kimg": 10.0, "fid": 20.0}


@pytest.mark.parametrize("line", ["{", "3", "[1]", "x" * 9, '"' + "[" * 10_000])
def test_a_damaged_log_is_told(run, line):
    (run.path / "metrics.jsonl").write_text(f"{line}\n")
    told = client_of(answers_of([run.path])).get("/curves/0")
    assert told.status_code == 409 and "is damaged" in told.json["error"]


def test_numbers_that_json_has_not_are_none(run):
    (run.path / "metrics.jsonl").write_text('{"step": 1, "loss": NaN, "up": Infinity}\n')
    answer = client_of(answers_of([run.path])).get("/curves/0")
    assert json.loads(answer.data, parse_constant=None)["records"] == [{"step": 1, "loss": None, "up": None}]
    assert b"NaN" not in answer.data


def test_a_run_that_there_is_not(tmp_path):
    written(tmp_path / "table", [1])
    assert client_of(answers_of([tmp_path / "table"])).get("/curves/0").status_code == 404
