import pytest
import torch

from reidgen.errors import ConfigError
from reidgen.generators.people.mixing import detail_heights, mix_styles, style_layers, variant_layers
from reidgen.models.stylegan2 import layer_heights

# sampling rates of StyleGAN3's 16 w
RATES = {
    64: [16] * 5 + [32] * 4 + [64] * 7,
    128: [16] * 4 + [32] * 3 + [64] * 3 + [128] * 6,
    256: [16] * 4 + [32] * 2 + [64] * 2 + [128] * 3 + [256] * 5,
}
NAMES = ("coarse", "middle", "fine")


@pytest.mark.parametrize(
    ("size", "coarse", "middle", "fine"),
    [
        ((128, 64), range(3), range(3, 7), range(7, 12)),
        ((64, 32), range(3), range(3, 7), range(7, 10)),
        ((16, 8), range(3), range(3, 5), range(5, 6)),
    ],
)
def test_groups_by_resolution(size, coarse, middle, fine):
    assert [style_layers(mix, layer_heights(size)) for mix in NAMES] == [tuple(coarse), tuple(middle), tuple(fine)]


@pytest.mark.parametrize(("height", "middle", "fine"), [(64, 5, 9), (128, 4, 10), (256, 4, 8)])
def test_groups_of_stylegan3_begin_where_its_rates_hold_the_same_detail(height, middle, fine):
    expected = [tuple(range(middle)), tuple(range(middle, fine)), tuple(range(fine, 16))]
    assert [style_layers(mix, RATES[height]) for mix in NAMES] == expected


def test_the_rates_above_are_those_of_the_network():
    from reidgen.models.stylegan3 import Generator

    for height, rates in RATES.items():
        network = Generator(2, 2, size=(height, height // 2), config="t", channel_base=height, channel_max=2)
        assert list(network.layer_rates) == rates


def test_heights_of_detail():
    assert detail_heights([4, 8, 8, 16, 16, 16])[:-1] == (4, 8, 8, 16, 16)
    assert detail_heights([16, 32, 64, 128, 128, 128])[:-1] == (8, 16, 32, 128, 128)


def test_layer_lists():
    assert style_layers("3,4,5", layer_heights((128, 64))) == (3, 4, 5)
    assert style_layers("0, 3-5,11", layer_heights((128, 64))) == (0, 3, 4, 5, 11)


def test_unions():
    assert style_layers("fine+coarse", layer_heights((128, 64))) == (0, 1, 2, *range(7, 12))
    assert style_layers("coarse + 2-3,11", layer_heights((128, 64))) == (0, 1, 2, 3, 11)
    assert style_layers("all", [4, 8, 8]) == (0, 1, 2)


def test_groups_of_the_sources():
    groups = [style_layers(f"sources-{name}", RATES[128]) for name in ("coarse", "medium", "fine")]
    assert groups == [tuple(range(6)), tuple(range(5, 12)), tuple(range(12, 16))]


def test_groups_of_the_sources_need_the_layers_of_the_sources():
    with pytest.raises(ConfigError, match=r"sources-coarse, sources-medium, sources-fine need 16 layers"):
        style_layers("sources-medium", layer_heights((128, 64)))


@pytest.mark.parametrize(
    "mix", ["medium", "", "3,3", "12", "-1", "5-3", "3;4", "coarse,middle", "coarse+", "coarse+12"]
)
def test_wrong_layers(mix):
    with pytest.raises(ConfigError) as error:
        style_layers(mix, layer_heights((128, 64)))
    assert error.value.got == mix
    assert "0 to 11" in str(error.value)


def test_a_group_without_layers_is_told():
    with pytest.raises(ConfigError, match="no layer as coarse"):
        style_layers("coarse", [16] * 16)


def test_one_w_has_no_groups():
    with pytest.raises(ConfigError, match="one w makes the whole image"):
        style_layers("middle", [4])
    assert style_layers("all", [4]) == (0,)


def test_variants_keep_something_of_the_person():
    assert variant_layers(["coarse", "all"], [4, 8, 8, 16, 16, 16], weight=0.5) == [(0, 1, 2), (0, 1, 2, 3, 4, 5)]
    for rates, mix in (([4, 8, 8, 16], "all"), ([4, 8, 8], "0-2"), ([4], "all")):
        with pytest.raises(ConfigError, match="another person"):
            variant_layers(["0", mix] if len(rates) > 1 else [mix], rates, weight=1)


def test_mixing_moves_the_given_layers_of_each_sample():
    own, donors = torch.zeros(3, 4, 3), torch.ones(3, 4, 3)
    mixed = mix_styles(own, donors, layers=[(), (1, 3), (0, 1, 2)], weights=[1.0, 1.0, 0.25])
    assert mixed[0].sum() == 0
    assert mixed[1, :, 0].tolist() == [0, 1, 0, 1]
    assert mixed[2, :, 0].tolist() == [0.25, 0.25, 0.25, 0]
    assert own.sum() == 0
