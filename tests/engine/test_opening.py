"""What a weight file says is held against what it holds before anything is built."""

import time

import pytest
import torch
from safetensors.torch import save_file

from reidgen.config import StyleGANConfig, as_dict
from reidgen.engine.checkpoint import load_weights, save_weights
from reidgen.engine.opening import Room, TooLargeError, check_numbers, check_output, numbers_of
from reidgen.errors import WeightsError
from reidgen.files import file_sha256
from reidgen.generators.sampling import to_pixels
from reidgen.generators.trained import load_generator
from reidgen.generators.weights import build_generator, write_generator


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_a_number_that_is_none_is_told_on_opening(value, tmp_path):
    tensors = {"a": torch.ones(3), "b": torch.tensor([1.0, value], dtype=torch.float64), "n": torch.tensor(3)}
    save_weights(path := tmp_path / "w.safetensors", tensors, config={})
    with pytest.raises(WeightsError) as error:
        load_weights(path)
    assert str(error.value) == (
        f"{path} holds weights that are not numbers.\n  got: b\n  allowed: finite weights\n"
        "  try: download or write the file again"
    )


def test_large_numbers_whose_sum_is_infinite_are_numbers(tmp_path):
    check_numbers({"half": torch.full((9,), 6e4).half(), "large": torch.full((9,), 3e38)}, tmp_path)


def test_negative_variances_are_none(tmp_path):
    check_numbers({"norm.running_var": torch.zeros(2), "norm.running_mean": -torch.ones(2)}, tmp_path)
    with pytest.raises(WeightsError, match=r"norm\.running_var"):
        check_numbers({"norm.running_var": torch.tensor([1.0, -1e-6])}, tmp_path)


def test_looking_for_numbers_that_are_none_costs_less_than_the_hash_of_the_file(tmp_path):
    """By measurement a ninth of it; each opening takes the hash as well."""
    save_weights(path := tmp_path / "w.safetensors", {str(i): torch.ones(2**20) for i in range(16)}, config={})
    read = load_weights(path)[0]
    began = time.process_time()
    check_numbers(read, path)
    checked = time.process_time()
    file_sha256(path)
    assert checked - began < time.process_time() - checked


def test_what_a_network_gives_is_looked_at():
    check_output(torch.full((9,), 3e38), "It")
    for value in (torch.nan, torch.inf):
        with pytest.raises(WeightsError, match="The generator gives values that are not numbers"):
            to_pixels(torch.tensor(value).expand(1, 3, 2, 2))


def test_there_is_room_for_what_the_file_holds_and_not_for_more():
    with Room(2**25):
        assert len(torch.zeros(2**25)) == 2**25
    for make in (
        lambda: torch.empty(10**12),
        lambda: torch.nn.Linear(10**6, 10**6),
        lambda: torch.randn(1, 10**6, 10**6),
        lambda: torch.arange(10**12),
        lambda: [torch.empty(1) for _ in range(10**9)],
    ):
        with pytest.raises(TooLargeError, match="more than the 8 numbers"), Room(8):
            make()


def test_numbers_that_many_tensors_show_are_counted_once():
    one = torch.zeros(10)
    assert numbers_of({"a": one, "b": one[:3], "c": torch.zeros(2, dtype=torch.float16)}) == 12


SMALL = StyleGANConfig(size=(16, 8), z_dim=8, w_dim=8, channel_base=64, channel_max=8)


def generator(path, **changes):
    """A generator's file whose config is changed after it was written."""
    parts = {"generator": build_generator(SMALL).state_dict(), "discriminator": {}}
    write_generator(path, parts, config=SMALL, training={"split": "train"})
    tensors, config = load_weights(path)
    save_weights(path, tensors, config={**config, **changes})
    return path


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"size": [64]}, "size has another length. 1"),
        ({"size": [2**40, 2**40]}, "size does not fit the generator"),
        ({"w_dim": None}, "The field w_dim is of another type. None"),
        ({"batch": "8"}, "The field batch is of another type. '8'"),
        ({"mirror": 1}, "The field mirror is of another type. 1"),
        ({"network": "stylegan9"}, "The field network is of another type. 'stylegan9'"),
        ({"seed": 10**30}, "The field seed is of another type"),
        ({"wings": 2}, "A config has an unknown field. 'wings'"),
        ({"mapping_layers": 10**5}, "a network of more than the"),
        ({"mapping_layers": 10**18}, "a network of more than the"),
        ({"channel_base": 10**12, "channel_max": 10**9}, "a network of more than the"),
        ({"z_dim": 10**18}, "a network of more than the"),
        ({"w_dim": 16}, "size mismatch"),
    ],
)
def test_a_config_that_lies_ends_in_words(changes, got, tmp_path):
    path = generator(tmp_path / "g.safetensors", stylegan={**as_dict(SMALL), **changes})
    with pytest.raises(WeightsError) as error:
        load_generator(path, device="cpu")
    assert str(path) in error.value.what
    assert got in error.value.got


@pytest.mark.parametrize(
    ("training", "what"),
    [
        (None, "The field training is of another type"),
        ({"split": 3}, "The field split is of another type"),
        ({"split": "train", "ancestors": [3]}, "The field ancestors is of another type"),
        ({"split": "train", "table": "x", "images": "9"}, "The field images is of another type"),
        ({"split": "train", "table": "x", "images": 9}, "The field origins is of another type"),
    ],
)
def test_facts_of_another_form_end_in_words(training, what, tmp_path):
    with pytest.raises(WeightsError, match=what):
        load_generator(generator(tmp_path / "g.safetensors", training=training), device="cpu")


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"a":' * 50_000, "9" * 5000, "3"])
def test_nested_and_endless_metadata_is_no_config(text, tmp_path):
    save_file({"w": torch.ones(1)}, path := tmp_path / "w.safetensors", metadata={"config": text})
    assert load_weights(path)[1] == {}
    with pytest.raises(WeightsError, match="holds no generator"):
        load_generator(path)
