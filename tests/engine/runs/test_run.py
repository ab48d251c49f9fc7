import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from reidgen.config import ReidConfig, StyleGANConfig, SweepConfig, TranslatorConfig
from reidgen.engine.runs.records import CHECKSUM, read_json, write_checked
from reidgen.engine.runs.run import RunFolder, read_run
from reidgen.errors import DataError, RunError


@dataclass(frozen=True)
class Knobs:
    steps: int = 10
    size: tuple[int, int] = (128, 64)


def begin(out, **knobs):
    return RunFolder.begin(out, stage="train-reid", config=Knobs(**knobs), inputs={"table": "abc"})


def test_same_command_resumes_and_then_says_that_it_is_done(tmp_path, capsys):
    run = begin(tmp_path / "run")
    assert not run.done
    run.close()
    run = begin(tmp_path / "run")
    assert not run.done and run.record["cost"]["starts"] == 2
    run.finish({"steps": 10})
    run = begin(tmp_path / "run")
    assert run.done and run.summary == {"steps": 10}
    assert capsys.readouterr().err == f"{tmp_path}/run is done already.\n"
    assert read_run(tmp_path / "run")["cost"]["starts"] == 2


def test_another_config_in_the_same_folder_is_an_error_that_names_the_options(tmp_path):
    begin(tmp_path / "run").close()
    with pytest.raises(RunError) as error:
        begin(tmp_path / "run", steps=20)
    assert str(error.value) == (
        f"{tmp_path}/run holds another run.\n"
        "  got: config.steps: 10 -> 20\n"
        "  allowed: the same command as before, to resume it\n"
        "  try: another out, or the old options"
    )


def test_two_processes_cannot_write_one_folder(tmp_path):
    run = begin(tmp_path / "run")
    code = (
        "from tests.engine.runs.test_run import begin\nfrom reidgen.errors import DataError, RunError\n"
        f"try:\n    begin({str(tmp_path / 'run')!r})\nexcept RunError as error:\n    print(error.what)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == f"Another process is writing {tmp_path}/run."
    run.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as error:
        begin(tmp_path / "file" / "run")
    assert str(error.value) == (
        f"{tmp_path}/file/run cannot be written.\n"
        "  got: not a directory\n"
        "  allowed: a folder that can be made\n"
        "  try: another out"
    )


def test_unfinished_and_foreign_folders_are_told_apart(tmp_path):
    with pytest.raises(RunError, match="is not a run folder"):
        read_run(tmp_path)
    begin(tmp_path / "run").close()
    with pytest.raises(RunError, match="is not finished"):
        read_run(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        begin(tmp_path / "run")


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path):
    run = begin(tmp_path / "run")
    run.metrics.write(step=1, loss=0.5)
    position = run.metrics.position
    run.metrics.write(step=2, loss=float("nan"))
    assert run.metrics.read() == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]
    run.metrics.rewind(position)
    run.metrics.write(step=2, loss=0.25)
    assert [json.loads(line)["loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()] == [
        0.5,
        0.25,
    ]
    run.close()


def test_a_users_error_before_anything_was_written_leaves_the_folder_free(tmp_path):
    def fail(error, *, steps, writes=()):
        with pytest.raises(type(error)), begin(tmp_path, steps=steps) as run:
            for name in writes:
                (run.path / name).write_text("")
            raise error

    fail(DataError("A crop is damaged."), steps=1)
    fail(DataError("A crop is damaged."), steps=2)
    fail(KeyboardInterrupt(), steps=3)
    with pytest.raises(RunError, match="holds another run"):
        begin(tmp_path, steps=4)
    fail(DataError("A crop is damaged."), steps=3, writes=["checkpoint.safetensors"])
    with pytest.raises(RunError, match="holds another run"):
        begin(tmp_path, steps=4)


def test_a_field_that_may_change_when_a_run_is_taken_up_again(tmp_path):
    def again(steps):
        config = Knobs(steps=steps)
        return RunFolder.begin(tmp_path, stage="train-reid", config=config, adjustable=("steps",))

    again(3).close()
    with again(5) as run:
        run.note_cost(sec_per_kimg=1.5)
        run.finish({})
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["config"]["steps"] == 5
    assert record["cost"]["sec_per_kimg"] == 1.5
    with pytest.raises(RunError, match="steps: 5 -> 7"):
        again(7)


def test_a_field_that_may_only_grow(tmp_path):
    def again(steps):
        return RunFolder.begin(tmp_path, stage="train-reid", config=Knobs(steps=steps), growing=("steps",))

    again(3).close()
    again(5).close()
    assert json.loads((tmp_path / "run.json").read_text())["config"]["steps"] == 5
    with pytest.raises(RunError, match="steps: 5 -> 4"):
        again(4)


def test_a_run_is_known_by_what_may_not_change(tmp_path):
    def identity(name, *, inputs="abc", **knobs):
        run = RunFolder.begin(
            tmp_path / name, stage="x", config=Knobs(**knobs), inputs={"table": inputs}, growing=("steps",)
        )
        run.close()
        return run.identity

    first = identity("a")
    assert first == identity("b") == identity("c", steps=20)
    assert len({first, identity("d", size=(64, 32)), identity("e", inputs="def")}) == 3


DAMAGED = [
    (b"{", "Expecting property name"),
    (b"\xff\xfe{\0}\0", "no UTF-8 at byte 0"),
    (b"[]", "the whole is of type list"),
    (b"{}", "no status"),
    ({"status": 5}, "status is of type int"),
    ({"config": []}, "config is of type list"),
    ({"machine": None}, "machine is null"),
    ({"versions": {"reidgen": "1", "torch": 2.6}}, "versions.torch is of type float"),
    ({"cost": None}, "cost is null"),
    ({"cost": {}}, "no cost.wall_sec"),
    ({"cost": {"wall_sec": "1", "peak_memory_gib": 0, "starts": 1}}, "cost.wall_sec is of type str"),
]


@pytest.mark.parametrize(("change", "got"), DAMAGED, ids=[got for _, got in DAMAGED])
def test_a_damaged_record_is_told(tmp_path, change, got):
    begin(tmp_path).close()
    file = tmp_path / "run.json"
    if isinstance(change, bytes):
        file.write_bytes(change)
    else:
        write_checked(file, read_json(file, {}) | change)
    for read in (begin, read_run):
        with pytest.raises(RunError, match=r"run\.json is damaged") as error:
            read(tmp_path)
        assert error.value.got.startswith(got)


def test_a_record_whose_values_were_changed_is_told_and_one_without_checksum_is_taken(tmp_path):
    begin(tmp_path).finish({"crops": 5})
    file = tmp_path / "run.json"
    file.write_text(file.read_text().replace('"crops": 5', '"crops": 7'))
    for read in (begin, read_run):
        with pytest.raises(RunError, match=r"run\.json is damaged") as error:
            read(tmp_path)
        assert error.value.got == "other values than were written"
    record = json.loads(file.read_text())
    del record[CHECKSUM]  # as earlier versions wrote it
    file.write_text(json.dumps(record))
    assert read_run(tmp_path)["summary"] == {"crops": 7}


def test_a_number_that_was_made_a_word_is_another_run(tmp_path):
    def again():
        return RunFolder.begin(tmp_path, stage="train-reid", config=Knobs(), growing=("steps",))

    again().close()
    record = read_json(tmp_path / "run.json", {})
    record["config"]["steps"] = "ten"
    write_checked(tmp_path / "run.json", record)
    with pytest.raises(RunError, match="steps: ten -> 10"):
        again()


@pytest.mark.parametrize("line", ["[2]", "{", pytest.param("[" * 100_000, id="deep")])
def test_a_log_with_a_line_that_is_none_is_told(tmp_path, line):
    with begin(tmp_path) as run:
        run.metrics.write(step=1)
        with run.metrics.path.open("a") as stream:
            stream.write(f"{line}\n")
        with pytest.raises(RunError, match=r"metrics\.jsonl is damaged in line 2"):
            run.metrics.read()


def without(folder, *names):
    """Take options out of a run's record, as a version that did not know them would have left it."""
    file = folder / "run.json"
    record = json.loads(file.read_text())
    record.pop("content_sha256")
    for name in names:
        *outer, last = name.split(".")
        known = record["config"]
        for part in outer:
            known = known[part]
        del known[last]
    file.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("config", "new"),
    [
        (ReidConfig(recipe="bot"), ("nodes", "test_flip", "losses", "augment.jitter")),
        (StyleGANConfig(), ("devices", "nodes")),
        (SweepConfig(preset="people"), ("reid.nodes", "reid.recipe")),
        (TranslatorConfig(preset="background", source=1, target=2), ("gap", "mask_blur")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_run_of_before_an_option_goes_on_where_the_option_has_its_default(config, new, tmp_path):
    with RunFolder.begin(tmp_path, stage="made", config=config) as run:
        assert not run.done
    without(tmp_path, *new)
    for _ in range(2):
        with RunFolder.begin(tmp_path, stage="made", config=config) as run:
            identity = run.identity
    without_new = json.loads((tmp_path / "run.json").read_text())["config"]
    assert new[0].split(".")[0] not in without_new or "." in new[0]
    with RunFolder.begin(tmp_path, stage="made", config=config) as run:
        assert run.identity == identity


def test_an_old_run_does_not_take_another_value_of_a_new_option(tmp_path):
    with RunFolder.begin(tmp_path, stage="made", config=ReidConfig(recipe="bot")):
        pass
    without(tmp_path, "test_flip")
    other = ReidConfig(recipe="bot", test_flip="sum" if ReidConfig(recipe="bot").test_flip == "none" else "none")
    with pytest.raises(RunError, match="test_flip: not set ->"):
        RunFolder.begin(tmp_path, stage="made", config=other)


def test_an_old_run_may_be_taken_up_with_other_devices(tmp_path):
    with RunFolder.begin(tmp_path, stage="made", config=StyleGANConfig()):
        pass
    without(tmp_path, "devices", "nodes")
    more = StyleGANConfig(devices=2, accumulate=2)
    names = ("devices", "nodes", "accumulate")
    with RunFolder.begin(tmp_path, stage="made", config=more, adjustable=names) as run:
        assert run.record["config"]["devices"] == 2
