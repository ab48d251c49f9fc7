"""Moving a tensor to a network of another size by what it does there: which part is taken over, and how.

Channels have no order that means anything, but they have one: a layer's outputs are the next one's inputs. Taking the
first so many of both keeps them together through a whole network. Where there are more channels than before, the new
ones are computed at random and enter the next layer with weight zero, so a wider network begins as the same function.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Moved:
    """A tensor for the new network.

    Attributes:
        value: Of the new network's shape.
        how: What was done to it; empty where it is the file's own.
        taken: Numbers that come from the file.
    """

    value: Tensor
    how: str
    taken: int


def move(name: str, value: Tensor, own: Tensor) -> Moved | str:
    """Bring one tensor to the shape that it has in the new network.

    Args:
        name: Of the tensor in both networks.
        value: In the file.
        own: In the new network, at its random start, which new channels keep.

    Returns:
        The tensor, or the reason why it cannot be moved.
    """
    if value.shape == own.shape:
        return Moved(value, "", value.numel())
    if value.ndim != own.ndim:
        return f"{value.ndim} dimensions in the file, {own.ndim} here"
    if name == "synthesis.const":
        return _constant(value, own)
    if name.endswith("noise_const"):
        rows, columns = (min(a, b) for a, b in zip(value.shape, own.shape, strict=True))
        return _patch(value, own, f"the first {rows}x{columns} numbers of its fixed noise")
    if name == "conv.weight":
        return _last_convolution(value, own)
    if name == "hidden.weight":
        return _hidden(value, own)
    if value.ndim == 4 and value.shape[2:] != own.shape[2:]:
        return f"convolutions of {_times(value.shape[2:])} in the file, of {_times(own.shape[2:])} here"
    return _channels(value, own)


def _channels(value: Tensor, own: Tensor, *, beside: int = 0) -> Moved:
    """The first channels of the output (dimension 0) and of the input (dimension 1, if it is a weight).

    Args:
        value: In the file.
        own: In the new network.
        beside: Inputs that are not channels and are not among these.
    """
    if value.ndim < 2 or own.shape[1] <= value.shape[1]:
        return _patch(value, own, _text(value, own))
    grown = own.clone()
    grown[: value.shape[0]] = 0
    # layers divide by the root of their inputs' number; where they normalise instead, a factor changes nothing
    factor = math.sqrt((own.shape[1] + beside) / (value.shape[1] + beside))
    return _patch(value * factor, grown, _text(value, own) + ", the new inputs at zero")


def _patch(value: Tensor, own: Tensor, how: str) -> Moved:
    """The part that both have, in the place that it has in the file; the rest as it was."""
    both = tuple(slice(min(a, b)) for a, b in zip(value.shape, own.shape, strict=True))
    out = own.clone()
    out[both] = value[both].to(out)
    return Moved(out, how, out[both].numel())


def _constant(value: Tensor, own: Tensor) -> Moved:
    """The learned start (C, H, W) on another grid: means of areas where it gets smaller, interpolated where larger."""
    if value.shape[1:] == own.shape[1:]:
        return _channels_of_map(value, own, "")
    size = (own.shape[1], own.shape[2])
    shrinks = own.shape[1] <= value.shape[1] and own.shape[2] <= value.shape[2]
    # a mean of independent numbers is smaller than they are; the first layer's filter was learned for their size
    resampled = functional.interpolate(value[None], size=size, mode="area" if shrinks else "bilinear")[0]
    resampled = resampled * (value.square().mean() / resampled.square().mean().clamp(min=1e-12)).sqrt()
    how = f"{_times(value.shape[1:])} -> {_times(size)} by {'means of areas' if shrinks else 'interpolation'}"
    return _channels_of_map(resampled, own, how)


def _channels_of_map(value: Tensor, own: Tensor, how: str) -> Moved:
    moved = _patch(value, own, "")
    counts = _text(value[:, 0, 0], own[:, 0, 0])
    return Moved(moved.value, "; ".join(part for part in (how, counts) if part), moved.taken)


def _last_convolution(value: Tensor, own: Tensor) -> Moved:
    """The discriminator's last convolution, whose last input is the minibatch statistic and not a channel."""
    body = _channels(value[:, :-1], own[:, :-1], beside=1)
    factor = math.sqrt(max(own.shape[1] / value.shape[1], 1.0))
    statistic = _patch(value[:, -1:] * factor, own[:, -1:], "")
    how = body.how + ", the minibatch statistic as the last input"
    return Moved(torch.cat([body.value, statistic.value], dim=1), how, body.taken + statistic.taken)


def _hidden(value: Tensor, own: Tensor) -> Moved | str:
    """The discriminator's layer over all pixels of its last map: the weights of pixels that become one add up."""
    old, new = (shape[1] // shape[0] for shape in (value.shape, own.shape))
    if value.shape[1] != old * value.shape[0] or own.shape[1] != new * own.shape[0] or old % 4 or new % 4:
        return f"shape {tuple(value.shape)} in the file, {tuple(own.shape)} here"
    maps = value.view(value.shape[0], value.shape[0], 4, old // 4)
    if old != new:  # the factor undoes the layer's own, the root of its inputs' number
        mode = "area" if new < old else "nearest"
        maps = functional.interpolate(maps, size=(4, new // 4), mode=mode) * math.sqrt(old / new)
    moved = _channels(maps.flatten(2), own.view(own.shape[0], own.shape[0], new))
    pixels = f"4x{old // 4} -> 4x{new // 4} pixels" if old != new else ""
    how = "; ".join(part for part in (pixels, moved.how) if part)
    return Moved(moved.value.reshape(own.shape), how, moved.taken)


def _text(value: Tensor, own: Tensor) -> str:
    """Which channels are taken over, in words."""
    kinds = ("outputs", "inputs") if value.ndim > 1 else ("channels",)
    parts = [
        f"the first {new} of {old} {kind}" if new < old else f"{old} -> {new} {kind}"
        for kind, old, new in zip(kinds, value.shape, own.shape, strict=False)
        if old != new
    ]
    return ", ".join(parts)


def _times(size: torch.Size | tuple[int, ...]) -> str:
    return "x".join(map(str, size))
