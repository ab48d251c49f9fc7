"""The reference's StyleGAN3 names and the names here."""

import torch
from safetensors.torch import load_file

from reidgen.models.stylegan import upstream_names
from reidgen.models.stylegan3 import Generator
from tests.models.test_stylegan3 import GOLDEN


def test_every_tensor_of_stylegan3_finds_its_place():
    for name, config in {"stylegan3_t_32": "t", "stylegan3_r_32": "r"}.items():
        weights = {k: v for k, v in load_file(GOLDEN / f"{name}.safetensors").items() if not k.startswith("_")}
        renamed, unknown = upstream_names.stylegan3_generator(weights)
        widths = (
            {"channel_base": 512, "channel_max": 16} if config == "t" else {"channel_base": 1024, "channel_max": 32}
        )
        network = Generator(32, 32, size=(32, 32), config=config, **widths)
        assert unknown == []
        assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in network.state_dict().items()}


def test_a_layer_keeps_its_name_at_every_resolution():
    small, large = (
        upstream_names.stylegan3_generator({f"synthesis.{name}.affine.bias": torch.zeros(1)})[0]
        for name in ("L4_52_1024", "L4_84_967")
    )
    assert list(small) == list(large) == ["synthesis.layers.4.affine.bias"]


def test_filters_are_left_out_and_strangers_told():
    zero = torch.zeros(1)
    renamed, unknown = upstream_names.stylegan3_generator(
        {
            "synthesis.L0_36_512.up_filter": zero,
            "synthesis.L0_36_512.down_filter": zero,
            "synthesis.L0_36_512.noise_strength": zero,
            "mapping.embed.weight": zero,
            "synthesis.input.freqs": zero,
        }
    )
    assert list(renamed) == ["synthesis.input.frequencies"]
    assert unknown == ["synthesis.L0_36_512.noise_strength", "mapping.embed.weight"]
