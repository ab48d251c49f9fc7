import pytest
import torch

from reidgen.engine.opening import fill_network
from reidgen.errors import WeightsError


def test_a_missing_tensor_is_told_with_file_and_name(tmp_path):
    with pytest.raises(WeightsError) as error:
        fill_network(torch.nn.Linear(2, 1), {"weight": torch.ones(1, 2)}, tmp_path / "w.safetensors")
    assert error.value.what == f"{tmp_path}/w.safetensors does not fit the network that its own config describes."
    assert "bias" in str(error.value.got)


def test_all_tensors_are_copied(tmp_path):
    network = torch.nn.Linear(2, 1)
    fill_network(network, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, tmp_path / "w.safetensors")
    assert network(torch.ones(1, 2)).item() == 2
