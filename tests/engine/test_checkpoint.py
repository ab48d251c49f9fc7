import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from reidgen.engine.checkpoint import load_state, load_weights, save_state, save_weights
from reidgen.errors import WeightsError


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
