import dataclasses
import json

import pytest
import torch

from reidgen.config import StyleGANConfig
from reidgen.errors import WeightsError
from reidgen.generators.train import train_generator
from reidgen.generators.transfer import transfer
from reidgen.generators.weights import build_discriminator, build_generator, read_generator, with_shape_of


def networks(config):
    return {"generator": build_generator(config), "discriminator": build_discriminator(config)}


def test_equal_architecture_copies_everything(gan, tiny):
    target = networks(tiny)
    reports = transfer(read_generator(gan.path), tiny, target)
    for part, report in reports.items():
        assert report.skipped == {}
        assert report.new == []
        assert report.values[0] == report.values[1]
        assert report.line(part).startswith(f"transfer, {part}: {len(report.copied)} tensors copied (100.0 %")
    assert torch.equal(target["generator"].synthesis.const, gan.network.synthesis.const)


def test_another_resolution_matches_by_height_and_role(gan, tiny):
    larger = dataclasses.replace(tiny, size=(32, 16))
    target = networks(larger)
    before = {name: value.clone() for name, value in target["generator"].state_dict().items()}
    source = read_generator(gan.path)
    report = transfer(source, larger, target)["generator"]
    after = target["generator"].state_dict()
    assert {name.split(".")[2] for name in report.new} == {"32"}
    assert report.skipped == {}
    for name in report.copied:
        assert torch.equal(after[name], source.parts["generator"][name])
    for name in report.new:
        assert torch.equal(after[name], before[name])


def test_other_channels_are_skipped_with_the_reason(gan, tiny):
    wider = dataclasses.replace(tiny, channel_base=128, channel_max=16)
    report = transfer(read_generator(gan.path), wider, networks(wider))["generator"]
    assert report.skipped["synthesis.const"] == "shape (8, 4, 2) in the file, (16, 4, 2) here"
    assert "synthesis.const" in report.new
    assert "mapping.layers.0.weight" in report.copied


def test_nothing_fits(gan):
    """Biases of three colours and noise fit any network; they alone are no transfer."""
    other = StyleGANConfig(size=(16, 8), z_dim=4, w_dim=4, channel_base=32, channel_max=2)
    with pytest.raises(WeightsError, match=r"Nothing in .* fits this network") as error:
        transfer(read_generator(gan.path), other, networks(other))
    assert error.value.fix == "--network stylegan2 --size 16 8 --z-dim 8 --w-dim 8 --mapping-layers 2 --channel-base 64 --channel-max 8"


def test_a_file_with_a_hole_is_an_error(gan, tiny):
    source = read_generator(gan.path)
    del source.parts["discriminator"]["logit.weight"]
    with pytest.raises(WeightsError) as error:
        transfer(source, tiny, networks(tiny))
    assert error.value.got == "logit.weight: not in the file"


def test_training_starts_from_the_parent_and_keeps_its_hash(gan, tiny, crops, tmp_path, capsys):
    config = dataclasses.replace(tiny, transfer=str(gan.path.parent), kimg=0.008, lr_generator=1e-12, ema_kimg=1.0)
    child = train_generator(crops, config, out=tmp_path)
    assert child.training["parent"] == gan.hash
    report = json.loads((tmp_path / "transfer.json").read_text())
    assert report["parent"] == gan.hash
    assert report["parent_training"]["split"] == "train"
    assert report["generator"]["skipped"] == {}
    assert "transfer, generator:" in capsys.readouterr().err
    for name, value in gan.network.named_parameters():
        torch.testing.assert_close(child.network.get_parameter(name), value, rtol=0, atol=1e-6)


def test_shape_of_a_file(gan):
    config = with_shape_of(gan.path, StyleGANConfig(batch=4, kimg=3))
    assert (config.size, config.channel_max, config.batch, config.kimg) == ((16, 8), 8, 4, 3)
