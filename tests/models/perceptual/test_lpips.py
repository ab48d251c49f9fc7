import pytest
import torch

from reidgen.errors import ConfigError
from reidgen.models.perceptual.lpips import CHANNELS, SMALLEST, TAPS, Lpips


@pytest.mark.parametrize(
    ("name", "sides"),
    [("alex", [(15, 7), (7, 3), (3, 1), (3, 1), (3, 1)]), ("vgg", [(64 >> i, 32 >> i) for i in range(5)])],
)
def test_maps_of_five_stages(name, sides):
    network = Lpips(name)
    maps = network.stages(torch.rand(2, 3, 64, 32))
    assert [tuple(x.shape) for x in maps] == [(2, n, *side) for n, side in zip(CHANNELS[name], sides, strict=True)]
    assert all(bool((x >= 0).all()) for x in maps)
    assert all(isinstance(network.features[tap], torch.nn.ReLU) for tap in TAPS[name])
    assert [tuple(head.shape) for head in network.heads] == [(n,) for n in CHANNELS[name]]
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_parameters_have_torchvisions_names():
    numbers = {"alex": [0, 3, 6, 8, 10], "vgg": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]}
    for name, expected in numbers.items():
        found = [key for key in Lpips(name).state_dict() if key.startswith("features.") and key.endswith("weight")]
        assert found == [f"features.{number}.weight" for number in expected]


@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_images_that_leave_no_map(name):
    side = SMALLEST[name]
    maps = Lpips(name).stages(torch.rand(1, 3, side, side))
    assert maps[-1].shape[2:] == (1, 1)
    with pytest.raises(ConfigError, match=f"too small for LPIPS with {name}") as error:
        Lpips(name).stages(torch.rand(1, 3, 2 * side, side - 1))
    assert error.value.got == f"{2 * side}x{side - 1}"
