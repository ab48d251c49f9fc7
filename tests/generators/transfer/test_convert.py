"""NVIDIA's files, imitated with the reference's own weights, become generators that draw the reference's images."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reidgen.cli import main
from reidgen.config import ConvertConfig, GenerateConfig, StyleGANConfig
from reidgen.errors import WeightsError
from reidgen.fidelity.words import seen_in_words
from reidgen.generators.people.people import generate_people
from reidgen.generators.trained import load_generator
from reidgen.generators.training.train import train_generator
from reidgen.generators.transfer.convert import LICENCE, convert_weights
from reidgen.generators.weights import build_discriminator, read_generator
from reidgen.models import stylegan3
from reidgen.report.evidence import Evidence
from reidgen.report.folders import Run
from tests.foreign_files import Call, EasyDict, golden, module, upstream_pickle

BUFFERS = (
    "w_avg", "noise_const", "resample_filter", "up_filter", "down_filter", "magnitude_ema", "freqs", "phases",
    "transform",
)  # fmt: skip
COMMON = {"c_dim": 0, "img_resolution": 32, "img_channels": 3}
STYLEGAN2 = {
    "z_dim": 32,
    "w_dim": 32,
    "mapping_kwargs": EasyDict(num_layers=2),
    "synthesis_kwargs": EasyDict(channel_base=512, channel_max=32, num_fp16_res=4, conv_clamp=256),
    **COMMON,
}
STYLEGAN3_T = {
    "z_dim": 32,
    "w_dim": 32,
    "mapping_kwargs": EasyDict(num_layers=2),
    "magnitude_ema_beta": 0.999,
    **COMMON,
}
STYLEGAN3_R = {**STYLEGAN3_T, "conv_kernel": 1, "use_radial_filters": True, "channel_base": 1024, "channel_max": 32}
DISCRIMINATOR = {
    "block_kwargs": EasyDict(freeze_layers=0),
    "mapping_kwargs": EasyDict(),
    "epilogue_kwargs": EasyDict(mbstd_group_size=4),
    "channel_base": 512,
    "channel_max": 32,
    **COMMON,
}


def network(weights, class_name="Generator", **options):
    return module(weights, class_name, buffers=BUFFERS, **options)


def snapshot(generator, discriminator=None, **more):
    """The content of a training's snapshot."""
    return EasyDict(
        G=None,
        D=discriminator,
        G_ema=generator,
        training_set_kwargs=EasyDict(
            class_name="training.dataset.ImageFolderDataset", path="people.zip", resolution=32
        ),
        augment_pipe=network({"Hz_geom": torch.ones(12)}, "AugmentPipe"),
        **more,
    )


def write(content, folder, protocol=4):
    path = folder / "network.pkl"
    path.write_bytes(upstream_pickle(content, protocol=protocol))
    return path


def refusal(content, folder, **options):
    with pytest.raises(WeightsError, match="holds no generator that reidgen has") as error:
        convert_weights(write(content, folder), ConvertConfig(**options), out=folder / "out")
    assert not (folder / "out" / "generator.safetensors").exists()
    return error.value.got


def agree(gan, numbers):
    with torch.no_grad():
        ws = gan.network.styles(numbers["_in.z"])
        image = gan.network.synthesis(ws, "const")
    return all(
        ((ours - theirs).abs().max() / theirs.std()).item() < 1e-4
        for ours, theirs in ((ws, numbers["_out.w"]), (image, numbers["_out.img"]))
    )


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_stylegan2_with_its_discriminator(protocol, tmp_path, capsys):
    weights, numbers = golden("stylegan2_g_32")
    critic, judged = golden("stylegan2_d_32")
    content = snapshot(network(weights, **STYLEGAN2), network(critic, "Discriminator", **DISCRIMINATOR))
    gan = convert_weights(write(content, tmp_path, protocol), out=tmp_path / "out")
    assert agree(gan, numbers)
    assert gan.config.network == "stylegan2"
    assert (gan.config.size, gan.config.channel_base, gan.config.channel_max) == ((32, 32), 512, 32)
    discriminator = build_discriminator(gan.config)
    discriminator.load_state_dict(read_generator(tmp_path / "out").parts["discriminator"])
    logits = discriminator(judged["_in.img"])
    assert (logits - judged["_out.logits"]).abs().max() < 1e-4 * judged["_out.logits"].std()
    said = capsys.readouterr().err
    assert LICENCE in said
    filters = sum(name.endswith("resample_filter") for name in weights)
    assert f"generator: {len(weights) - filters} tensors copied, {filters} filters equal to ours and left out" in said


@pytest.mark.parametrize(
    ("name", "options", "kind", "widths"),
    [
        ("stylegan3_t_32", STYLEGAN3_T, "stylegan3-t", (512, 16)),
        ("stylegan3_r_32", STYLEGAN3_R, "stylegan3-r", (512, 16)),
        ("stylegan3_r_64", {**STYLEGAN3_T, "img_resolution": 64}, "stylegan3-r", (512, 8)),
    ],
)
def test_stylegan3(name, options, kind, widths, tmp_path):
    weights, numbers = golden(name)
    gan = convert_weights(write(snapshot(network(weights, **options)), tmp_path), out=tmp_path / "out")
    assert agree(gan, numbers)
    assert (gan.config.network, gan.config.channel_base, gan.config.channel_max) == (kind, *widths)


def test_stylegan3_of_other_depth(tmp_path):
    torch.manual_seed(0)
    ours = stylegan3.Generator(32, 32, size=(32, 32), config="r", channel_base=1024, channel_max=32, layers=5)
    weights = dict(upstream_names_of(ours))
    content = snapshot(network(weights, **{**STYLEGAN3_R, "num_layers": 5}))
    gan = convert_weights(write(content, tmp_path), out=tmp_path / "out")
    z = torch.randn(2, 32)
    assert gan.config.layers == 5
    assert torch.equal(gan.network(z), ours.eval()(z))


def upstream_names_of(network):
    """A StyleGAN3's tensors under the names that its pickles have."""
    for name, value in network.state_dict().items():
        kind, *rest = name.removeprefix("synthesis.layers.").split(".", 1)
        if name.startswith("synthesis.layers."):
            plan = network.synthesis.layers[int(kind)].plan
            yield f"synthesis.L{kind}_{plan.after.size[0]}_{plan.after.channels}.{rest[0]}", value
        else:
            new = name.replace("mapping.layers.", "mapping.fc").replace("input.frequencies", "input.freqs")
            yield new, value
    for index, layer in enumerate(network.synthesis.layers):
        for kind in ("up_filter", "down_filter"):
            if getattr(layer, kind) is not None:
                yield (
                    f"synthesis.L{index}_{layer.plan.after.size[0]}_{layer.plan.after.channels}.{kind}",
                    getattr(layer, kind),
                )


def test_what_the_file_says_of_itself(tmp_path):
    weights, _ = golden("stylegan2_g_32")
    path = write(snapshot(network(weights, **STYLEGAN2)), tmp_path)
    gan = convert_weights(path, out=tmp_path / "out")
    facts = load_generator(tmp_path / "out").training
    assert gan.training == facts
    assert (facts["split"], facts["origins"], facts["licence"]) == ("unknown", ["unknown"], LICENCE)
    assert facts["source"]["file"] == "network.pkl"
    report = json.loads((tmp_path / "out" / "convert.json").read_text())
    assert report["sha256"] == facts["source"]["sha256"]
    assert report["generator"]["copied"]["synthesis.b8.conv0.weight"] == "synthesis.blocks.8.up.conv.weight"
    assert "synthesis.b8.conv0.resample_filter" in report["generator"]["constants"]
    assert report["discriminator"]["left_out"].startswith("no D or d or discriminator in it, but G, D, G_ema, training")


def test_raw_or_averaged_weights(tmp_path):
    weights, _ = golden("stylegan2_g_32")
    raw = {name: value + 1 if name.endswith("const") else value for name, value in weights.items()}
    content = {"G": network(raw, **STYLEGAN2), "G_ema": network(weights, **STYLEGAN2)}
    path = write(content, tmp_path)
    ema = convert_weights(path, out=tmp_path / "ema").network.synthesis.const
    moved = convert_weights(path, ConvertConfig(weights="raw"), out=tmp_path / "raw").network.synthesis.const
    torch.testing.assert_close(ema + 1, moved)
    del content["G_ema"]
    assert refusal(content, tmp_path) == "no G_ema or g_ema or generator_ema in it, but G"


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_of_torch_save(zipped, tmp_path):
    weights, numbers = golden("stylegan3_t_32")
    for i, content in enumerate((weights, {"g_ema": weights, "step": 7})):
        torch.save(content, tmp_path / "network.pt", _use_new_zipfile_serialization=zipped)
        gan = convert_weights(tmp_path / "network.pt", out=tmp_path / f"out{i}")
        assert agree(gan, numbers)


def test_half_precision_is_brought_to_float32(tmp_path):
    weights, _ = golden("stylegan2_g_32")
    halves = {name: value.half() if name.endswith("conv1.weight") else value for name, value in weights.items()}
    gan = convert_weights(write(network(halves, **STYLEGAN2), tmp_path), out=tmp_path / "out")
    own = gan.network.synthesis.blocks["8"].plain.conv.weight
    torch.testing.assert_close(own, weights["synthesis.b8.conv1.weight"].half().float(), rtol=0, atol=0)
    report = json.loads((tmp_path / "out" / "convert.json").read_text())
    assert len(report["generator"]["to_float32"]) == 4


def test_a_discriminator_that_is_another_one_is_left_out(tmp_path, capsys):
    weights, _ = golden("stylegan2_g_32")
    critic, _ = golden("stylegan2_d_32")
    for change, reason in [
        ({"b4.fc.weight": torch.ones(32, 256)}, "hidden.weight has the shape (32, 256) instead of (32, 512)"),
        ({"b32.mapping.fc0.weight": torch.ones(2, 2)}, "tensors that are not understood: b32.mapping.fc0.weight"),
    ]:
        content = snapshot(network(weights, **STYLEGAN2), network({**critic, **change}, "D", **DISCRIMINATOR))
        out = tmp_path / reason[:6]
        convert_weights(write(content, tmp_path), out=out)
        assert read_generator(out).parts["discriminator"] == {}
        assert f"convert, discriminator: left out: {reason}" in capsys.readouterr().err


def test_networks_that_reidgen_does_not_have(tmp_path):
    weights, _ = golden("stylegan2_g_32")
    three, _ = golden("stylegan3_t_32")

    def without(*names):
        return {name: value for name, value in weights.items() if not name.startswith(names)}

    first = "synthesis.L0_36_16"
    cases = [
        ({**weights, "mapping.embed.weight": torch.ones(32, 5)}, {}, "a conditional generator"),
        (weights, {"c_dim": 10}, "a conditional generator"),
        (without("synthesis.b8.torgb"), {}, 'another architecture than "skip"'),
        (weights, {"synthesis_kwargs": {"architecture": "resnet"}}, "architecture 'resnet', where ours has 'skip'"),
        (weights, {"synthesis_kwargs": {"use_noise": np.zeros(3)}}, "built with use_noise"),
        (weights, {"blur": 3}, "the option 'blur', whose effect is not known"),
        ({**weights, "synthesis.extra": torch.ones(1)}, {}, "not understood: synthesis.extra"),
        (without("synthesis.b16.conv1.bias"), {}, "missing: synthesis.blocks.16.plain.bias"),
        ({**weights, "synthesis.b4.resample_filter": torch.ones(4, 4)}, {}, "another filter than ours"),
        ({**weights, "synthesis.b4.const": torch.ones(32, 8, 8)}, {}, "starts from 8x8 pixels"),
        ({**weights, "synthesis.b4.const": torch.ones(32)}, {}, "instead of a tensor of 3 dimensions"),
        ({**weights, "mapping.w_avg": torch.full((32,), torch.nan)}, {}, "values that are not numbers"),
        ({**weights, "mapping.fc1.weight": torch.ones(32, 31)}, {}, "has the shape (32, 31) instead of (32, 32)"),
        (
            {n: v[:1] if n.endswith(("torgb.weight", "torgb.bias")) else v for n, v in weights.items()},
            {},
            "images of 1 colour channels",
        ),
        ({n: v for n, v in three.items() if "L7_" not in n}, {}, "no generator of StyleGAN2 or of StyleGAN3"),
        ({**three, f"{first}.down_filter": three[f"{first}.down_filter"] * 1.01}, {}, "another filter than ours"),
        ({**three, f"{first}.weight": torch.ones(16, 16, 1, 1)}, {}, "neither T nor R: convolutions of 1x1, separable"),
        ({"style.1.weight": torch.ones(2, 2)}, {}, "other names than those of StyleGAN2-ADA and 3: style.1.weight"),
    ]
    for tensors, options, reason in cases:
        assert reason in refusal(snapshot(network(tensors, **options)), tmp_path), reason


def test_pickles_of_something_else(tmp_path):
    for content, reason in [
        ([1, 2], "a value of type list"),
        ({"epoch": 3}, "no G_ema or g_ema or generator_ema in it, but epoch"),
        ({"G_ema": 3}, "a value of type int where a network should be"),
        ({}, "in it, but nothing"),
        (OrderedDict(), "but nothing"),
    ]:
        assert reason in refusal(content, tmp_path)
    with pytest.raises(WeightsError, match="is not read") as error:
        convert_weights(write(Call(eval, "1"), tmp_path), out=tmp_path / "out")
    assert error.value.got == "it asks for builtins.eval"


def test_files_of_something_else(tmp_path):
    whole = write(snapshot(network(golden("stylegan2_g_32")[0], **STYLEGAN2)), tmp_path).read_bytes()
    save_file({"x": torch.ones(2)}, tmp_path / "other.safetensors")
    (tmp_path / "empty.pkl").write_bytes(b"")
    (tmp_path / "cut.pkl").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pkl").write_text("not found")
    for name, reason in [
        ("other.safetensors", "a safetensors file, which holds no code"),
        ("empty.pkl", "an empty file"),
        ("cut.pkl", "it ends in the middle"),
        ("text.pkl", "it does not begin as the pickles of these programs do"),
        ("missing.pkl", "nothing there"),
        (".", "a folder"),
    ]:
        with pytest.raises(WeightsError) as error:
            convert_weights(tmp_path / name, out=tmp_path / "out")
        assert reason in error.value.got


def test_a_generator_of_reidgen_needs_no_conversion(gan, tmp_path):
    with pytest.raises(WeightsError, match="needs no conversion") as error:
        convert_weights(gan.path, out=tmp_path / "out")
    assert error.value.fix == f"generator={str(gan.path)!r}, or transfer={str(gan.path)!r}"
    assert not (tmp_path / "out").exists()


def test_the_verb_resumes_and_its_generator_makes_people(tmp_path, capsys):
    path = write(snapshot(network(golden("stylegan3_t_32")[0], **STYLEGAN3_T)), tmp_path)
    arguments = ["convert", str(path), "--out", str(tmp_path / "out")]
    main(arguments)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    main(arguments)
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert "is done already" in capsys.readouterr().err
    gan = load_generator(tmp_path / "out")
    table = generate_people(gan, GenerateConfig(people=2, variants=2, mix="3,4"), out=tmp_path / "people")
    assert len(table) == 4


def test_nobody_takes_a_converted_network_for_one_that_has_seen_the_train_split_alone(crops, tmp_path, capsys):
    """The facts go on to what is trained from it, with the licence; the page and the fidelity run say so."""
    weights, _ = golden("stylegan2_g_32")
    parent = convert_weights(write(network(weights, **STYLEGAN2), tmp_path), out=tmp_path / "parent")
    config = StyleGANConfig(
        transfer=str(parent.path.parent), size=(16, 8), channel_base=64, channel_max=8, batch=4, kimg=0.008
    )
    capsys.readouterr()
    child = train_generator(crops, config, out=tmp_path / "child")
    said = capsys.readouterr().err
    assert LICENCE in said
    assert "transfer, discriminator: 0 tensors copied, 0 resized (0.0 % of the values)" in said
    (known,) = child.training["ancestors"]
    assert (known["split"], known["origins"], known["licence"]) == ("unknown", ["unknown"], LICENCE)
    run = Run.read(tmp_path / "child")
    evidence = Evidence([], [], [run])
    assert evidence.generator_splits == {"train", "unknown"}
    assert evidence.learned_from == {"real", "unknown"}
    assert "nobody knows" in seen_in_words(evidence.trainings_of_generator, "another table", "train")


def test_a_pickle_where_a_generator_is_asked_for(tmp_path):
    path = write([], tmp_path)
    with pytest.raises(WeightsError, match="may hold code") as error:
        load_generator(path)
    assert error.value.fix == f"reidgen convert {path} --out DIR, which runs nothing that is in it"
