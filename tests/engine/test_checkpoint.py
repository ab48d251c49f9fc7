import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from reidgen.engine.checkpoint import (
    _whole_file,
    load_checkpoint,
    load_state,
    load_weights,
    save_checkpoint,
    save_state,
    save_weights,
)
from reidgen.engine.runs.run import RunFiles
from reidgen.errors import ReidgenError, RunError, WeightsError


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def test_any_nesting_comes_back_exactly(tmp_path):
    state = {
        "weights": {"a/b": torch.randn(2, 3), "half": torch.ones(2, dtype=torch.float16), "count": torch.tensor(7)},
        0: [1, 0.1 + 0.2, None, True, "text", (torch.arange(3, dtype=torch.uint8), [])],
        "p": 1e-300,
        "rng": torch.get_rng_state(),
    }
    save_state(tmp_path / "x.safetensors", state)
    assert equal(state, load_state(tmp_path / "x.safetensors"))


def test_an_optimiser_goes_on_as_if_never_interrupted(tmp_path):
    def steps(parameter, optimiser, count):
        for _ in range(count):
            optimiser.zero_grad()
            (parameter**3).sum().backward()
            optimiser.step()

    whole = torch.nn.Parameter(torch.linspace(0.1, 1, 5))
    optimiser = torch.optim.Adam([whole], lr=0.01, betas=(0.0, 0.99))
    steps(whole, optimiser, 3)
    save_state(tmp_path / "c.safetensors", {"p": whole.detach().clone(), "adam": optimiser.state_dict()})
    steps(whole, optimiser, 4)

    state = load_state(tmp_path / "c.safetensors")
    again = torch.nn.Parameter(state["p"])
    other = torch.optim.Adam([again], lr=0.5)
    other.load_state_dict(state["adam"])
    steps(again, other, 4)
    assert torch.equal(whole, again)


def test_non_finite_numbers_survive(tmp_path):
    save_state(tmp_path / "x.safetensors", {"nan": math.nan, "inf": -math.inf})
    state = load_state(tmp_path / "x.safetensors")
    assert math.isnan(state["nan"]) and state["inf"] == -math.inf


def test_weights_carry_their_config(tmp_path):
    save_weights(tmp_path / "w.safetensors", {"w": torch.ones(2, 2).t()}, config={"size": [128, 64]})
    tensors, config = load_weights(tmp_path / "w.safetensors")
    assert torch.equal(tensors["w"], torch.ones(2, 2)) and config == {"size": [128, 64]}


def test_another_programs_config_is_none_of_ours(tmp_path):
    for text in ("not json", "[1]"):
        save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors", metadata={"config": text})
        assert load_weights(tmp_path / "w.safetensors")[1] == {}


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x10\0\0\0\0\0\0\0{}"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"cut\.safetensors is damaged or no safetensors file"):
        load_state(path)


def test_a_cut_off_checkpoint_is_refused(tmp_path):
    path = tmp_path / "cut.safetensors"
    save_state(path, {"w": torch.randn(1000)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="is damaged"):
        load_state(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="There is no weight file"):
        load_weights(tmp_path / "none.safetensors")


def test_equal_content_gives_equal_bytes_that_safetensors_reads(tmp_path):
    weights = {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.float16)}
    for number in range(20):
        save_weights(tmp_path / f"{number}.safetensors", weights, config={"size": [128, 64]})
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert len(files) == 20 and len(set(files)) == 1
    assert int.from_bytes(files[0][:8], "little") % 8 == 0
    assert equal(weights["b"], load_file(tmp_path / "0.safetensors")["b"])
    assert load_weights(tmp_path / "0.safetensors")[1] == {"size": [128, 64]}


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, {"w": torch.arange(5.0), "step": 7}, run="a run")
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(ReidgenError):
            load_state(path)
    path.write_bytes(whole)
    assert load_state(path)["step"] == 7


def test_a_state_of_another_run_is_refused_by_its_own_run_alone(tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, {"step": 7}, run="one")
    with pytest.raises(RunError, match="belongs to another run"):
        load_state(path, run="two")
    assert load_state(path, run="one") == load_state(path) == {"step": 7}


def test_a_run_is_told_how_to_go_on_without_a_damaged_state(tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"half a file")
    with pytest.raises(RunError, match=f"try: rm {path}"):
        load_state(path, run="one")


def test_a_state_of_an_earlier_version_is_read_and_said_to_be_unchecked(tmp_path, capsys):
    path = tmp_path / "state.safetensors"
    structure = '{"dict": [["step", {"value": 7}]]}'
    path.write_bytes(b"".join(_whole_file({}, {"schema_version": "1", "structure": structure})))
    assert load_state(path, run="a run") == {"step": 7}
    assert "has no hash: it is taken unchecked" in capsys.readouterr().err


def started(tmp_path):
    """A run that logged two records before its checkpoint and one after it."""
    run = RunFiles(tmp_path, "a run")
    for step in (1, 2):
        run.metrics.write(step=step)
    save_checkpoint(run, {"step": 2})
    run.metrics.write(step=3)
    return run


def test_the_log_goes_back_with_the_checkpoint(tmp_path):
    run = started(tmp_path)
    assert load_checkpoint(run)["step"] == 2
    assert run.metrics.read() == [{"step": 1}, {"step": 2}]
    (tmp_path / "checkpoint.safetensors").unlink()
    assert load_checkpoint(run) is None and run.metrics.read() == []


@pytest.mark.parametrize(
    ("log", "got"),
    [
        (None, "0 bytes"),
        (b'{"step": 1}\n{"st', "16 bytes"),
        (b'{"step": 1}\n{"step": 9}\n{"step": 3}\n', "other records in the first 24 bytes"),
    ],
)
def test_a_log_that_is_not_the_checkpoints_is_refused(tmp_path, log, got):
    run = started(tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    if log is not None:
        (tmp_path / "metrics.jsonl").write_bytes(log)
    with pytest.raises(RunError, match=r"is not the log that checkpoint\.safetensors goes on from") as error:
        load_checkpoint(run)
    assert error.value.got == got and "rm " in error.value.fix


def unhashed(path, structure):
    path.write_bytes(b"".join(_whole_file({}, {"schema_version": "1", "structure": structure})))


@pytest.mark.parametrize(
    "structure",
    [
        '{"tensor": "gone"}',
        "{",
        "[" * 100_000,
        "3",
        "{}",
        '{"dict": [[[], {"value": 1}]]}',
        '{"list": 5}',
        '{"list": [' * 3_000 + "]}" * 3_000,
    ],
)
def test_a_state_without_a_hash_whose_structure_is_damaged_is_told(tmp_path, structure):
    path = tmp_path / "state.safetensors"
    unhashed(path, structure)
    with pytest.raises(WeightsError, match=r"state\.safetensors is not a checkpoint\."):
        load_state(path)


@pytest.mark.parametrize("structure", ['{"value": 3}', '{"dict": []}'])
def test_a_checkpoint_without_the_place_in_its_log_is_told(tmp_path, structure):
    unhashed(tmp_path / "checkpoint.safetensors", structure)
    with pytest.raises(RunError, match=r"checkpoint\.safetensors is damaged"):
        load_checkpoint(RunFiles(tmp_path, "a run"))
