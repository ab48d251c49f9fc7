import pytest
import torch

from reidgen.errors import ConfigError
from reidgen.generators.mixing import mix_styles, style_layers
from reidgen.models.stylegan2 import layer_heights


@pytest.mark.parametrize(
    ("size", "coarse", "middle", "fine"),
    [
        ((128, 64), range(3), range(3, 7), range(7, 12)),
        ((64, 32), range(3), range(3, 7), range(7, 10)),
        ((16, 8), range(3), range(3, 5), range(5, 6)),
    ],
)
def test_groups_by_resolution(size, coarse, middle, fine):
    assert [style_layers(mix, layer_heights(size)) for mix in ("coarse", "middle", "fine")] == [
        tuple(coarse),
        tuple(middle),
        tuple(fine),
    ]


def test_layer_lists():
    assert style_layers("3,4,5", layer_heights((128, 64))) == (3, 4, 5)
    assert style_layers("0, 3-5,11", layer_heights((128, 64))) == (0, 3, 4, 5, 11)


@pytest.mark.parametrize("mix", ["medium", "", "3,3", "12", "-1", "5-3", "3;4"])
def test_wrong_layers(mix):
    with pytest.raises(ConfigError) as error:
        style_layers(mix, layer_heights((128, 64)))
    assert error.value.got == mix
    assert "0 to 11" in str(error.value)


def test_mixing_replaces_the_given_layers_of_each_sample():
    own, donors = torch.zeros(2, 4, 3), torch.ones(2, 4, 3)
    mixed = mix_styles(own, donors, layers=[(), (1, 3)], weights=[1.0, 1.0])
    assert mixed[0].sum() == 0
    assert mixed[1, :, 0].tolist() == [0, 1, 0, 1]
    assert own.sum() == 0
