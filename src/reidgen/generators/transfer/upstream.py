"""Which of our networks a StyleGAN of other make is, from its tensors' names and shapes and what it was built with."""

import itertools
import re
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from reidgen.config import StyleGANConfig
from reidgen.engine.opening import Room, TooLargeError, numbers_of
from reidgen.errors import ConfigError, option
from reidgen.generators.weights import build_discriminator, build_generator
from reidgen.models.stylegan import upstream_names
from reidgen.models.stylegan3 import Generator as StyleGAN3

# Options that networks were built with, as the training logs show them: those that shapes or filters tell anyway or
# that matter to training or speed alone, and those that change what a network computes, with the value that ours has.
_TOLD = {"z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "channel_base", "channel_max", "conv_kernel"}
_TOLD |= {"use_radial_filters", "num_layers", "mbstd_group_size"}
_TRAINING = {"class_name", "magnitude_ema_beta", "num_fp16_res", "conv_clamp", "fused_modconv_default", "freeze_layers"}
_GROUPS = {"mapping_kwargs", "synthesis_kwargs", "block_kwargs", "layer_kwargs", "epilogue_kwargs"}
_COMPUTED = {"activation": "lrelu", "lr_multiplier": 0.01, "use_noise": True}
_ARCHITECTURE = {"generator": "skip", "discriminator": "resnet"}


Rename = Callable[[dict[str, Tensor]], tuple[dict[str, Tensor], list[str]]]


class NoCounterpartError(Exception):
    """The network is none that reidgen has; the text says why."""


@dataclass(frozen=True)
class Foreign:
    """A network as a foreign file holds it.

    Attributes:
        tensors: By the names of the file.
        options: What it was built with, where the file says so.
    """

    tensors: Mapping[str, Tensor]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Converted:
    """A network under our names.

    Attributes:
        tensors: In float32.
        names: Name in the file -> name here, of all tensors that were taken over.
        constants: Names of filters, which were compared with ours and left out.
        widened: Names of tensors that the file has in another number format than float32.
    """

    tensors: dict[str, Tensor]
    names: dict[str, str]
    constants: list[str]
    widened: list[str]


def generator_config(found: Foreign) -> StyleGANConfig:
    """The config of a generator, with the defaults of a training where the file cannot tell.

    Raises:
        NoCounterpartError: It is not a StyleGAN2 or 3, or one that reidgen has no network for.
    """
    tensors = found.tensors
    _check_options(found, "generator")
    if "mapping.fc0.weight" not in tensors:
        raise NoCounterpartError(f"its tensors have other names than those of StyleGAN2-ADA and 3: {_some(tensors)}")
    if "mapping.embed.weight" in tensors or found.options.get("c_dim"):
        raise NoCounterpartError("a conditional generator (c_dim > 0), which draws people of given classes")
    shape = _stylegan2_shape(found) if "synthesis.b4.const" in tensors else _stylegan3_shape(found)
    layers = next(i for i in itertools.count() if f"mapping.fc{i}.weight" not in tensors)
    w_dim, z_dim = _shape(tensors, "mapping.fc0.weight", 2)
    try:
        return StyleGANConfig(z_dim=z_dim, w_dim=w_dim, mapping_layers=layers, **shape)
    except ConfigError as error:
        raise NoCounterpartError(f"{error.parts['what']} {error.parts['got']}") from error


def convert_generator(found: Foreign, config: StyleGANConfig) -> Converted:
    """The generator's tensors under our names.

    Raises:
        NoCounterpartError: A tensor is missing, unknown, of another shape or not finite, or a filter is not ours.
    """
    network = _built(found, lambda: build_generator(config))
    rename = upstream_names.stylegan2_generator if config.network == "stylegan2" else upstream_names.stylegan3_generator
    filters = _stylegan3_filters(network, found) if isinstance(network, StyleGAN3) else _resampling(found)
    return _convert(found, network, rename, filters)


def convert_discriminator(found: Foreign, config: StyleGANConfig) -> Converted:
    """The discriminator's tensors under our names, if it is the one that goes with a generator's config.

    Raises:
        NoCounterpartError: It is another one.
    """
    _check_options(found, "discriminator")
    if found.options.get("c_dim"):
        raise NoCounterpartError("a conditional discriminator (c_dim > 0)")
    network = _built(found, lambda: build_discriminator(config))
    return _convert(found, network, upstream_names.stylegan2_discriminator, _resampling(found))


def _built(found: Foreign, build: Callable[[], nn.Module]) -> nn.Module:
    """A network that is no larger than the file's: its sizes are read off names that anybody can write."""
    try:
        with Room(numbers_of(found.tensors)):
            return build()
    except TooLargeError as error:
        raise NoCounterpartError(str(error)) from error


# -- shapes ------------------------------------------------------------------------------------------------------------


def _stylegan2_shape(found: Foreign) -> dict[str, Any]:
    tensors = found.tensors
    heights = sorted({int(m[1]) for name in tensors if (m := re.match(r"synthesis\.b(\d{1,5})\.", name))})
    if any(f"synthesis.b{height}.torgb.weight" not in tensors for height in heights):
        raise NoCounterpartError('a StyleGAN2 generator of another architecture than "skip" (blocks without colours)')
    channels = {}
    for height in heights:
        colours, channels[height], *_ = _shape(tensors, f"synthesis.b{height}.torgb.weight", 4)
        _check_colours(colours)
    _, rows, columns = _shape(tensors, "synthesis.b4.const", 3)
    if rows != 4 or columns not in (2, 4):
        raise NoCounterpartError(f"a StyleGAN2 generator that starts from {rows}x{columns} pixels")
    top = heights[-1]
    base, most = _channels(found, base=top * channels[top], most=max(channels.values()))
    if any(channels[height] != min(base // height, most) for height in heights):
        raise NoCounterpartError(
            f"its numbers of channels follow no {option('channel_base')} and {option('channel_max')}: {channels}"
        )
    size = (top, top * columns // rows)
    return {"network": "stylegan2", "size": size, "channel_base": base, "channel_max": most}


def _stylegan3_shape(found: Foreign) -> dict[str, Any]:
    layers = {int(m[1]): m for name in found.tensors if (m := re.fullmatch(_LAYER, name))}
    top = len(layers) - 1  # the layer that writes colours
    if top < 3 or sorted(layers) != list(range(top + 1)):
        raise NoCounterpartError(f"no generator of StyleGAN2 or of StyleGAN3: {_some(found.tensors)}")
    _check_colours(int(layers[top][3]))
    height, kernel = int(layers[top][2]), _shape(found.tensors, layers[0][0], 4)[2]
    down = found.tensors.get(layers[0][0].replace(".weight", ".down_filter"))
    dimensions = 0 if down is None else down.ndim
    network = {(1, 2): "stylegan3-r", (3, 1): "stylegan3-t"}.get((kernel, dimensions))
    if network is None:
        filters = {0: "unknown", 1: "separable", 2: "radial"}.get(dimensions, "odd")
        raise NoCounterpartError(
            f"a StyleGAN3 generator that is neither T nor R: convolutions of {kernel}x{kernel}, {filters} filters"
        )
    widths = [int(layers[i][3]) for i in range(top)]
    base, most = _channels(found, base=widths[-1] * height, most=max(widths))
    double = 2 if network == "stylegan3-r" else 1
    if base % double or most % double:
        raise NoCounterpartError(f"a StyleGAN3-R generator with odd numbers of channels ({base}, {most})")
    size = (height, height)
    channels = {"channel_base": base // double, "channel_max": most // double}
    return {"network": network, "size": size, "layers": top, **channels}


_LAYER = r"synthesis\.L(\d{1,3})_(\d{1,5})_(\d{1,5})\.weight"


def _channels(found: Foreign, *, base: int, most: int) -> tuple[int, int]:
    """Base and maximum of the channels: what the file says, else what the shapes say."""
    said = {**found.options, **_group(found, "synthesis_kwargs")}
    given = said.get("channel_base"), said.get("channel_max")
    if all(isinstance(value, int) and value > 0 for value in given):
        return given[0], given[1]  # type: ignore[return-value]
    return base, most


def _shape(tensors: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in tensors or tensors[name].ndim != dimensions or 0 in tensors[name].shape:
        got = f"shape {tuple(tensors[name].shape)}" if name in tensors else "not there"
        raise NoCounterpartError(f"{name}: {got}, instead of a tensor of {dimensions} dimensions")
    return tuple(tensors[name].shape)


def _check_colours(count: int) -> None:
    if count != 3:
        raise NoCounterpartError(f"images of {count} colour channels; reidgen's have three (RGB)")


# -- options -----------------------------------------------------------------------------------------------------------


def _check_options(found: Foreign, part: str) -> None:
    """Raise unless every option is known, and those that change what is computed have the value that ours has."""
    flat = {**found.options}
    for group in _GROUPS & set(flat):
        flat.update(_group(found, group))
        del flat[group]
    same = {**_COMPUTED, "architecture": _ARCHITECTURE[part]}
    for name, value in flat.items():
        if name in same and not (type(value) is type(same[name]) and value == same[name]):
            raise NoCounterpartError(f"a {part} built with {name} {reprlib.repr(value)}, where ours has {same[name]!r}")
        if name not in _TOLD | _TRAINING | set(same):
            option = reprlib.repr(name)
            raise NoCounterpartError(f"a {part} built with the option {option}, whose effect is not known here")


def _group(found: Foreign, name: str) -> dict[str, Any]:
    value = found.options.get(name)
    return value if isinstance(value, dict) else {}


# -- tensors -----------------------------------------------------------------------------------------------------------


def _convert(found: Foreign, network: nn.Module, rename: Rename, filters: dict[str, Tensor]) -> Converted:
    tensors = found.tensors
    _check_filters(tensors, filters)
    weights = {name: value for name, value in tensors.items() if name not in filters}
    names = {name: next(iter(rename({name: value})[0]), None) for name, value in weights.items()}
    unknown = [name for name, new in names.items() if new is None]
    if unknown:
        raise NoCounterpartError(f"tensors that are not understood: {_some(unknown)}")
    ours = {name: str(new) for name, new in names.items()}
    _check_shapes({new: weights[name] for name, new in ours.items()}, network)
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise NoCounterpartError(f"{name} holds values that are not numbers")
    return Converted(
        {new: weights[name].detach().to(torch.float32, copy=True).contiguous() for name, new in ours.items()},
        ours,
        sorted(filters),
        sorted(name for name, value in weights.items() if value.dtype != torch.float32),
    )


def _check_shapes(renamed: dict[str, Tensor], network: nn.Module) -> None:
    """Raise unless the tensors are the network's, all and no others; two with one place leave another one missing."""
    own = network.state_dict()
    missing = [name for name in own if name not in renamed]
    if missing:
        raise NoCounterpartError(f"tensors that are missing: {_some(missing)}")
    for name, value in renamed.items():
        if name not in own:
            raise NoCounterpartError(f"a tensor that this network does not have: {name}")
        if own[name].shape != value.shape:
            raise NoCounterpartError(f"{name} has the shape {tuple(value.shape)} instead of {tuple(own[name].shape)}")


def _resampling(found: Foreign) -> dict[str, Tensor]:
    """The [1,3,3,1] filters, by the names that the file has for them."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return {name: torch.outer(taps, taps) for name in found.tensors if name.rpartition(".")[2] == "resample_filter"}


def _stylegan3_filters(network: StyleGAN3, found: Foreign) -> dict[str, Tensor]:
    """Each layer's filters as we compute them, by the names that the file has for them."""
    filters = {}
    for name in found.tensors:
        match = re.fullmatch(r"synthesis\.L(\d{1,3})_\d+_\d+\.((?:up|down)_filter)", name)
        known = match and int(match[1]) < len(network.synthesis.layers)
        own = getattr(network.synthesis.layers[int(match[1])], match[2]) if match and known else None
        if own is not None:
            filters[name] = own
    return filters


def _check_filters(tensors: Mapping[str, Tensor], filters: dict[str, Tensor]) -> None:
    for name, own in filters.items():
        value = tensors[name]
        if value.shape != own.shape or not torch.allclose(
            value.float(), own, rtol=0, atol=1e-4 * own.abs().max().item()
        ):
            raise NoCounterpartError(f"{name} is another filter than ours")


def _some(names: Collection[str]) -> str:
    listed = [name[:80] for name in itertools.islice(names, 3)]
    return ", ".join(listed) + (", ..." if len(names) > 3 else "")
