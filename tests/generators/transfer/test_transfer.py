import dataclasses
import itertools
import json

import pytest
import torch

from reidgen.config import StyleGANConfig, generator_preset
from reidgen.errors import WeightsError, on_command_line
from reidgen.generators.training.train import train_generator
from reidgen.generators.transfer.transfer import transfer
from reidgen.generators.weights import (
    GeneratorFile,
    build_discriminator,
    build_generator,
    read_generator,
    with_shape_of,
)
from reidgen.models.layers import downsample, upsample


def networks(config):
    return {"generator": build_generator(config), "discriminator": build_discriminator(config)}


def source_of(config, tmp_path):
    """A weight file of networks whose every tensor is random."""
    torch.manual_seed(0)
    parts = {part: network.state_dict() for part, network in networks(config).items()}
    for tensors in parts.values():
        for name, value in tensors.items():
            if name.endswith(("bias", "noise_strength")):
                value.add_(torch.randn_like(value) * 0.3)
    return GeneratorFile(tmp_path / "parent.safetensors", "hash", config, {"split": "train"}, parts)


def loaded(source):
    target = networks(source.config)
    for part, network in target.items():
        network.load_state_dict(source.parts[part])
    return target


def moved(source, config):
    torch.manual_seed(1)
    target = networks(config)
    return target, transfer(source, config, target)


@pytest.fixture
def parent(tiny, tmp_path):
    return source_of(dataclasses.replace(tiny, channel_base=512, channel_max=12), tmp_path)


def test_equal_architecture_copies_everything(gan, tiny):
    target = networks(tiny)
    reports = transfer(read_generator(gan.path), tiny, target)
    for part, report in reports.items():
        assert report.skipped == report.new == report.resized == {}
        assert report.values[0] == report.values[1]
        count = len(report.copied)
        assert report.line(part) == (
            f"transfer, {part}: {count} tensors copied, 0 resized (100.0 % of the values), 0 skipped, 0 new"
        )
    assert torch.equal(target["generator"].synthesis.const, gan.network.synthesis.const)


def test_taller_networks_begin_as_the_smaller_ones(parent):
    for height in (32, 64):
        config = dataclasses.replace(parent.config, size=(height, height // 2))
        target, reports = moved(parent, config)
        small, z = loaded(parent), torch.randn(3, 8)
        with torch.no_grad():
            image, shown = small["generator"](z), torch.randn(4, 3, height, height // 2)
            halved = shown
            while image.shape[2] < height:
                image, halved = upsample(image), downsample(halved)
            torch.testing.assert_close(target["generator"](z), image)
            torch.testing.assert_close(target["discriminator"](shown), small["discriminator"](halved))
        assert {int(name.split(".")[2]) for name in reports["generator"].new} == {32, 64} & set(range(height + 1))
        assert reports["generator"].new["synthesis.blocks.32.to_rgb.bias"].startswith("zero, so that the image begins")
        assert reports["discriminator"].new["from_rgb.weight"].startswith("a halving of the image")
        assert reports["discriminator"].resized["blocks.32.conv1.bias"].startswith("from_rgb.bias of the file")
        assert reports["generator"].skipped == reports["discriminator"].skipped == {}


@pytest.mark.parametrize("network", ["stylegan2", "stylegan3-t", "stylegan3-r"])
@pytest.mark.parametrize("wider", [{"channel_base": 1024, "channel_max": 31}, {"w_dim": 13}, {"z_dim": 11}])
def test_wider_networks_begin_as_the_same_function(network, wider, parent, tmp_path):
    config = dataclasses.replace(parent.config, network=network)
    source = source_of(config, tmp_path)
    source.parts["discriminator"]["conv.weight"][:, -1] = 0  # the minibatch statistic is a mean over all channels
    target, reports = moved(source, dataclasses.replace(config, **wider))
    small, z = loaded(source), torch.randn(3, 8)
    for networks_ in (small, target):
        networks_["generator"].eval()
    own = z
    if "z_dim" in wider:  # z is brought to unit size first: what is appended must have the size of the rest
        extra = torch.randn(3, 3)
        extra = extra * (z.square().mean(1, keepdim=True) / extra.square().mean(1, keepdim=True)).sqrt()
        own = torch.cat([z, extra], dim=1)
    shown = torch.randn(4, 3, *config.size)
    with torch.no_grad():
        torch.testing.assert_close(target["generator"](own), small["generator"](z), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(target["discriminator"](shown), small["discriminator"](shown))
    assert reports["generator"].new == reports["generator"].skipped == {}


def test_wider_networks_use_their_new_channels(parent):
    config = dataclasses.replace(parent.config, channel_base=1024, channel_max=31)
    target, _ = moved(parent, config)
    images = target["generator"](torch.randn(4, 8))
    target["discriminator"](images).sum().backward()
    for network in target.values():
        for name, value in network.named_parameters():
            if value.ndim == 4 and value.shape[1] > 12 and "to_rgb" not in name:
                assert (value[:, 12:] == 0).any(), name
                assert value.grad[:, 12:].abs().amax(dim=(0, 2, 3)).min() > 0, name


def test_narrower_networks_take_the_same_channels_everywhere(parent):
    """If nothing reads the file's further channels, nothing is lost by leaving them out."""
    narrow = dataclasses.replace(parent.config, channel_max=7)
    for name, value in parent.parts["generator"].items():
        if name.endswith("conv.weight"):
            value[:, 7:] = 0
        if name.endswith("to_rgb.bias"):
            value.zero_()
    target, reports = moved(parent, narrow)
    z = torch.randn(3, 8)
    with torch.no_grad():
        small, large = target["generator"](z), loaded(parent)["generator"](z)
    # colours are divided by the root of their inputs' number
    torch.testing.assert_close(small, large * (12 / 7) ** 0.5)
    assert reports["generator"].resized["synthesis.blocks.8.plain.conv.weight"] == (
        "the first 7 of 12 outputs, the first 7 of 12 inputs"
    )
    assert reports["generator"].values == (reports["generator"].values[1],) * 2


def test_squares_and_rectangles(parent):
    config = dataclasses.replace(parent.config, size=(16, 16))
    square = source_of(config, parent.path.parent)
    target, reports = moved(square, parent.config)
    assert reports["generator"].resized["synthesis.const"] == "4x4 -> 4x2 by means of areas"
    assert reports["generator"].resized["synthesis.blocks.8.plain.noise_const"].startswith("the first 8x4 numbers")
    assert reports["discriminator"].resized["hidden.weight"] == "4x4 -> 4x2 pixels"
    assert reports["generator"].skipped == reports["discriminator"].new == {}
    const = square.parts["generator"]["synthesis.const"]
    pairs = const.reshape(12, 4, 2, 2).mean(3)
    torch.testing.assert_close(
        target["generator"].synthesis.const, pairs * (const.square().mean() / pairs.square().mean()).sqrt()
    )
    back, reports = moved(parent, config)
    assert reports["generator"].resized["synthesis.const"] == "4x2 -> 4x4 by interpolation"
    assert back["generator"](torch.randn(2, 8)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("columns", [(2, 4), (4, 2)])
def test_the_layer_over_all_pixels_sees_the_same_in_maps_of_another_width(columns, parent):
    """A map that is constant along its width gives the same sums, whatever the number of columns."""
    sizes = [dataclasses.replace(parent.config, size=(16, 4 * count)) for count in columns]
    source = source_of(sizes[0], parent.path.parent)
    target, _ = moved(source, sizes[1])
    column = torch.randn(2, 12, 4, 1)
    before, after = (
        network["discriminator"].hidden(column.expand(-1, -1, -1, count).flatten(1))
        for network, count in zip((loaded(source), target), columns, strict=True)
    )
    torch.testing.assert_close(after, before)


def test_smaller_images_leave_the_taller_blocks_out(parent):
    config = dataclasses.replace(parent.config, size=(32, 16))
    _, reports = moved(source_of(config, parent.path.parent), parent.config)
    assert {name.split(".")[2] for name in reports["generator"].skipped} == {"32"}
    assert reports["generator"].new == {}
    assert reports["discriminator"].skipped["from_rgb.weight"] == "it sees images 32 high, and they are 16 high here"
    assert reports["discriminator"].new == {"from_rgb.weight": "random", "from_rgb.bias": "random"}


@pytest.mark.parametrize("kind", ["t", "r"])
def test_stylegan3_moves_across_resolutions_layer_by_layer(kind, tiny, tmp_path):
    """Nothing is lost, where equal names (index, size and channels) and shapes would move next to nothing."""
    widths = {"channel_base": 1024, "channel_max": 32, "z_dim": 8, "w_dim": 8}
    large = dataclasses.replace(tiny, network=f"stylegan3-{kind}", size=(128, 128), **widths)
    target, reports = moved(source_of(large, tmp_path), dataclasses.replace(large, size=(64, 32)))
    report = reports["generator"]
    assert report.skipped == report.new == {}
    assert report.values[0] > 0.75 * report.values[1]
    layers = [source_of(config, tmp_path) for config in (large, dataclasses.replace(large, size=(64, 32)))]
    names = [upstream_names(source) for source in layers]
    by_name = sum(count for name, count in names[1].items() if names[0].get(name) == count)
    assert by_name < 0.5 * report.values[1] < 0.65 * report.values[0]
    assert target["generator"](torch.randn(2, 8)).shape == (2, 3, 64, 32)


def upstream_names(source):
    """Numbers by the names that layers have upstream: index, size and channels of the output."""
    plans = [layer.plan for layer in build_generator(source.config).synthesis.layers]
    found = {}
    for name, value in source.parts["generator"].items():
        parts = name.split(".")
        if parts[1] == "layers" and parts[0] == "synthesis":
            plan = plans[int(parts[2])]
            parts[2] = f"{parts[2]}_{plan.after.size[0]}_{plan.after.channels}"
        found[".".join(parts)] = value.numel()
    return found


def test_other_mapping_and_other_networks_say_what_was_left(parent):
    deeper = dataclasses.replace(parent.config, mapping_layers=5)
    _, reports = moved(parent, deeper)
    assert reports["generator"].skipped["mapping.w_avg"] == "2 mapping layers in the file, 5 here"
    three = dataclasses.replace(parent.config, network="stylegan3-t")
    _, reports = moved(parent, three)
    assert reports["generator"].skipped["synthesis.const"] == "a layer of stylegan2, and stylegan3-t here"
    assert "mapping.layers.0.weight" in reports["generator"].copied
    assert reports["discriminator"].skipped == {}


def test_nothing_fits(parent):
    other = dataclasses.replace(parent.config, network="stylegan3-t", mapping_layers=3)
    with pytest.raises(WeightsError, match=r"Nothing in .* fits this network") as error:
        transfer(parent, other, networks(other))
    assert error.value.told(on_command_line).endswith(
        "try: --network stylegan2 --size 16 8 --z-dim 8 --w-dim 8 --mapping-layers 2 --layers 14 "
        "--channel-base 512 --channel-max 12"
    )


def test_a_file_with_a_hole_is_an_error(gan, tiny):
    source = read_generator(gan.path)
    del source.parts["discriminator"]["logit.weight"]
    with pytest.raises(WeightsError) as error:
        transfer(source, tiny, networks(tiny))
    assert error.value.got == "logit.weight: not in the file"


def test_a_parent_without_a_discriminator_leaves_it_at_random(parent):
    for config in (parent.config, dataclasses.replace(parent.config, size=(32, 16))):
        source = dataclasses.replace(parent, parts={**parent.parts, "discriminator": {}})
        _, reports = moved(source, config)
        report = reports["discriminator"]
        assert set(report.new.values()) == {"random"}
        assert report.values[0] == 0
        assert "0 tensors copied, 0 resized (0.0 % of the values)" in report.line("discriminator")


def test_training_starts_from_the_parent_and_keeps_its_hash(gan, tiny, crops, tmp_path, capsys):
    config = dataclasses.replace(tiny, transfer=str(gan.path.parent), kimg=0.008, lr_generator=1e-12, ema_kimg=1.0)
    child = train_generator(crops, config, out=tmp_path)
    assert child.training["parent"] == gan.hash
    report = json.loads((tmp_path / "transfer.json").read_text())
    assert report["parent"] == gan.hash
    assert report["parent_training"]["split"] == "train"
    assert report["generator"]["skipped"] == report["generator"]["resized"] == {}
    assert "transfer, generator:" in capsys.readouterr().err
    for name, value in gan.network.named_parameters():
        torch.testing.assert_close(child.network.get_parameter(name), value, rtol=0, atol=1e-6)


def test_training_goes_on_at_another_size(gan, tiny, crops, tmp_path):
    config = dataclasses.replace(tiny, transfer=str(gan.path.parent), size=(32, 32), channel_max=12, kimg=0.016)
    child = train_generator(crops, config, out=tmp_path)
    assert child.size == (32, 32)
    report = json.loads((tmp_path / "transfer.json").read_text())
    assert report["generator"]["resized"]["synthesis.const"].startswith("4x2 -> 4x4 by interpolation")


def test_shape_of_a_file(gan):
    config = with_shape_of(gan.path, StyleGANConfig(batch=4, kimg=3))
    assert (config.size, config.channel_max, config.batch, config.kimg) == ((16, 8), 8, 4, 3)


def test_every_pair_of_shapes_is_moved_or_told(parent):
    """No combination of sizes, widths and depths ends in an exception, and every tensor is accounted for."""
    sizes, kinds = ((16, 8), (16, 16), (32, 16)), ("stylegan2", "stylegan3-r")
    choices = itertools.product(sizes, (64, 1024), (5, 20), (8, 9), kinds)
    for size, base, most, w_dim, network in choices:
        config = dataclasses.replace(
            parent.config, size=size, channel_base=base, channel_max=most, w_dim=w_dim, network=network
        )
        target, reports = moved(parent, config)
        for part, report in reports.items():
            named = {*report.copied, *report.resized, *report.new}
            assert named == set(target[part].state_dict())
            assert 0 < report.values[0] <= report.values[1]
            assert all(torch.isfinite(value).all() for value in target[part].state_dict().values())


def test_a_transfer_ramps_augmentation_in_100_kimg_and_starts_without_blur():
    fresh, resumed = (generator_preset("market-stylegan3-r", transfer=start) for start in (None, "runs/ffhq"))
    assert (fresh.ramp_kimg, fresh.fade_kimg) == (500, 100)
    assert (resumed.ramp_kimg, resumed.fade_kimg) == (100, 0)
    assert generator_preset("market-stylegan3-r", transfer="runs/ffhq", ada_kimg=30).ramp_kimg == 30
    table_5_1 = (fresh.network, fresh.batch, fresh.gamma, fresh.kimg, fresh.snapshot_kimg)
    assert table_5_1 == ("stylegan3-r", 16, 2, 5000, 80)
