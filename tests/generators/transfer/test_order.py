import dataclasses
from pathlib import Path

import pytest
import torch

from reidgen.generators.transfer.order import channel_sets, sort_channels
from reidgen.generators.transfer.transfer import transfer
from reidgen.generators.weights import GeneratorFile, build_generator


@pytest.fixture(params=["stylegan2", "stylegan3-t", "stylegan3-r"])
def config(request, tiny):
    return dataclasses.replace(tiny, network=request.param, size=(32, 16), channel_base=512, channel_max=12)


def generator_of(config, seed=0):
    torch.manual_seed(seed)
    network = build_generator(config).eval()
    for value in network.parameters():
        if value.ndim == 1 or not value.any():
            torch.nn.init.normal_(value, std=0.5)
    return network


def narrower(tensors):
    """Tensors of no numbers, so that every set of channels counts as one that is to be cut."""
    return {name: value.new_empty([0] * value.ndim) for name, value in tensors.items()}


def test_a_sorted_network_is_the_same_function(config):
    network, again = generator_of(config), generator_of(config, seed=1)
    tensors = network.state_dict()
    ordered = sort_channels(tensors, narrower(tensors))
    changed = [name for name in tensors if not torch.equal(tensors[name], ordered[name])]
    assert {name for name in tensors if name.endswith("weight")} <= {*changed, "mapping.layers.0.weight"}
    again.load_state_dict(ordered)
    z = torch.randn(3, config.z_dim)
    with torch.no_grad():
        torch.testing.assert_close(again(z), network(z), rtol=1e-3, atol=1e-4)


def test_only_sets_that_are_cut_are_touched(config):
    tensors = generator_of(config).state_dict()
    wider = generator_of(dataclasses.replace(config, channel_max=20)).state_dict()
    assert all(sort_channels(tensors, wider)[name] is value for name, value in tensors.items())


def test_every_dimension_of_channels_belongs_to_one_set(config):
    """All weights but the first layer's z and the colours are reached, each dimension once."""
    tensors = generator_of(config).state_dict()
    places = [place for one in channel_sets(tensors).values() for place in one.written]
    places += [(name, 1) for one in channel_sets(tensors).values() for name in one.read]
    assert len(places) == len(set(places))
    weights = {
        (name, i) for name, value in tensors.items() if name.endswith("weight") and value.ndim > 1 for i in (0, 1)
    }
    styles = {place for place in weights if place[0].endswith("affine.weight") and place[1] == 0}
    colours = {place for place in weights if ("to_rgb.conv.weight" in place[0] or ".layers.14." in place[0])}
    assert weights - set(places) - styles - colours == {("mapping.layers.0.weight", 1)}


def test_what_nothing_reads_is_cut_off(config):
    """A narrow network hidden in a wide one, at random places in each set of channels, is found."""
    small = dataclasses.replace(config, channel_max=7)
    wide, target = generator_of(config), build_generator(small).eval()
    tensors = {name: value.clone() for name, value in wide.state_dict().items()}
    for name, channels in channel_sets(tensors).items():
        if name != "w" and not name.startswith("mapping"):
            width = tensors[channels.read[0]].shape[1]
            dead = torch.randperm(width)[width * 7 // 12 :]
            for reader in channels.read:
                tensors[reader][:, dead] = 0
    for name, value in tensors.items():
        if name.startswith("synthesis") and name.endswith("bias") and "affine" not in name:
            value.zero_()  # without them the network is homogeneous, and a factor of the input is one of the image
    wide.load_state_dict(tensors)
    source = GeneratorFile(Path(), "", config, {}, {"generator": tensors, "discriminator": {}})
    transfer(source, small, {"generator": target})
    z = torch.randn(3, config.z_dim)
    with torch.no_grad():
        ours, theirs = target(z), wide(z)
    scale = (ours * theirs).sum() / theirs.square().sum()
    torch.testing.assert_close(ours, theirs * scale, rtol=1e-2, atol=1e-3)
