"""Sorting a network's channels by how much is made of them, so that the first ones are the ones to keep.

If a layer's outputs and the next one's inputs change places alike, a network stays the same function. So where the
first channels of a file are taken into a narrower generator, they are sorted before. (In discriminators, whose channels
are of all sizes, the same rule was measured to keep no more of the function than no rule: docs/decisions/0009.)
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Channels:
    """A set of channels, and where they appear.

    Attributes:
        written: (name, dimension) of the tensors that make them, biases included.
        read: Names of the weights that read them, in dimension 1; a modulated convolution's styles belong to them too.
    """

    written: list[tuple[str, int]] = field(default_factory=list)
    read: list[str] = field(default_factory=list)


def sort_channels(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network with each set of channels that is to be cut in falling order of what is made of it.

    Args:
        tensors: State dict of a style generator.
        own: That of the network that its channels are moved to; sets that are no smaller there stay as they are.
    """
    out = dict(tensors)
    for channels in channel_sets(tensors).values():
        places = [*channels.written, *((name, 1) for name in channels.read), *_styles(tensors, channels)]
        if any(name in own and own[name].shape[i] < tensors[name].shape[i] for name, i in places):
            order = torch.argsort(_weight(tensors, channels), descending=True, stable=True)
            for name, dimension in places:
                out[name] = out[name].index_select(dimension, order)
    return out


def channel_sets(tensors: Mapping[str, Tensor]) -> dict[str, Channels]:
    """All sets of channels of a StyleGAN2 or StyleGAN3 generator that are read by a weight, by a name of each."""
    found: dict[str, Channels] = defaultdict(Channels)
    for name in tensors:
        writes, reads = _ends(name.split("."), tensors)
        if writes:
            found[writes].written.append((name, 0))
        if reads:
            found[reads].read.append(name)
    return {name: channels for name, channels in found.items() if channels.read}


def _ends(parts: list[str], tensors: Mapping[str, Tensor]) -> tuple[str | None, str | None]:
    """The set of channels that a tensor's dimension 0 runs over, and the one that it reads in dimension 1."""
    match parts:
        case ["mapping", "layers", number, kind]:
            last = f"mapping.layers.{int(number) + 1}.weight" not in tensors
            before = f"mapping {int(number) - 1}" if int(number) else None  # z has no order that tells anything
            return "w" if last else f"mapping {number}", before if kind == "weight" else None
        case ["mapping", "w_avg"]:
            return "w", None
        case [*_, "affine", "weight"]:
            return None, "w"
        case ["synthesis", "const"]:
            return "in 4", None
        case ["synthesis", "blocks", height, layer, *_, ("weight" | "bias") as kind] if "affine" not in parts:
            return _stylegan2_ends(int(height), layer, kind)
        case ["synthesis", "input", ("frequencies" | "phases")]:
            return "waves", None
        case ["synthesis", "input", "weight"]:
            return "layer -1", "waves"
        case ["synthesis", "layers", number, ("weight" | "bias") as kind]:
            colours = f"synthesis.layers.{int(number) + 1}.weight" not in tensors
            return None if colours else f"layer {number}", f"layer {int(number) - 1}" if kind == "weight" else None
    return None, None


def _stylegan2_ends(height: int, layer: str, kind: str) -> tuple[str | None, str | None]:
    writes = {"up": f"in {height}", "plain": f"out {height}", "to_rgb": None}[layer]
    reads = {"up": f"out {height // 2}", "plain": f"in {height}", "to_rgb": f"out {height}"}[layer]
    return writes, reads if kind == "weight" else None


def _styles(tensors: Mapping[str, Tensor], channels: Channels) -> Iterator[tuple[str, int]]:
    """The styles of the modulated convolutions that read the channels."""
    for name in channels.read:
        for kind in ("weight", "bias"):
            style = name.removesuffix("weight") + f"affine.{kind}"
            if style in tensors and name != "synthesis.input.weight":
                yield style, 0


def _weight(tensors: Mapping[str, Tensor], channels: Channels) -> Tensor:
    """What is made of each channel: the sum over its readers of its mean share in their outputs' sums of squares.

    Channels are of one size, as modulated convolutions bring their outputs to it.
    """
    total = torch.zeros(())
    for name in channels.read:
        energy = _energy(tensors[name])
        style = name.removesuffix("weight") + "affine."
        if f"{style}weight" in tensors and name != "synthesis.input.weight":
            affine = tensors[f"{style}weight"].float()
            energy = energy * (tensors[f"{style}bias"].float().square() + affine.square().mean(dim=1))
        total = total + (energy / energy.sum(dim=1, keepdim=True).clamp(min=1e-12)).mean(dim=0)
    return total


def _energy(weight: Tensor) -> Tensor:
    """(out, in): sum of squares over the pixels of a kernel."""
    return weight.float().square().reshape(*weight.shape[:2], -1).sum(dim=2)
