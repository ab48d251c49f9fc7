"""Which layers of w a style group means, and writing one person's styles into another's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from reidgen.errors import ConfigError, option
from reidgen.generators.pictures.interpolation import lerp

# Heights of the layers of each group: what is as coarse as an 8 pixels high image, as a 32 pixels high one, and finer.
GROUPS = {"coarse": (0, 8), "middle": (9, 32), "fine": (33, 1 << 16)}
# Alvarez-Gonzalez, thesis, table 5.3, for the 16 w of StyleGAN3; layer 5 is in two of them.
SOURCES = {"sources-coarse": "0-5", "sources-medium": "5-11", "sources-fine": "12-15"}
SOURCES_COUNT = 16
LOWEST_OVERSAMPLED = 16  # rate of the first layers of StyleGAN3


def style_layers(mix: str, rates: Sequence[int]) -> tuple[int, ...]:
    """The layers that a mix takes from the donor.

    Args:
        mix: "coarse" (see `detail_heights`: heights up to 8), "middle" (16 and 32), "fine" (64 and above, and the last
            colours), "all"; "sources-coarse" (layers 0-5), "sources-medium" (5-11) and "sources-fine" (12-15) of
            Alvarez-Gonzalez, thesis, table 5.3, for generators with 16 w (the medium button of the sources' program
            took 3, 5 and 7-11 instead: "3,5,7-11"); layer indices such as "3,4,5" or "3-6,11"; or a union of these,
            such as "coarse+9-11".
        rates: The height or sampling rate of each layer, `GeneratorNetwork.layer_rates`.

    Returns:
        Layer indices, each once; those of a union in order.

    Raises:
        ConfigError: A name is unknown or not for this generator, an index is not a number, is named twice in a list, or
            the generator has no such layer.

    >>> style_layers("coarse+6-7", [4, 8, 8, 16, 16, 32, 32, 64])
    (0, 1, 2, 6, 7)
    """
    parts = [_part(part.strip(), mix, rates) for part in mix.split("+")]
    return parts[0] if len(parts) == 1 else tuple(sorted(set().union(*parts)))


def variant_layers(mixes: Sequence[str], rates: Sequence[int], *, weight: float) -> list[tuple[int, ...]]:
    """The layers of each mix, checked to leave something of the person.

    Args:
        mixes: As `style_layers` takes them.
        rates: The height or sampling rate of each layer.
        weight: How far the layers go towards the donor, above 0 up to 1.

    Raises:
        ConfigError: As in `style_layers`, or a mix takes all layers wholly from the donor.
    """
    layers = [style_layers(mix, rates) for mix in mixes]
    for mix, chosen in zip(mixes, layers, strict=True):
        if weight == 1 and len(chosen) == len(rates):
            raise ConfigError(
                f"{option('mix')} takes all layers from the donor, so each variant would be another person.",
                got=f"{option(mix=(mix,))} {option(weight=1)}",
                allowed="some of the layers, or a weight below 1",
                fix=f"{option(mix=('all',))} {option(weight=0.3)}",
            )
    return layers


def detail_heights(rates: Sequence[int]) -> tuple[int, ...]:
    """Height of the image whose detail each layer holds, by which the groups mean the same in all networks.

    A layer of StyleGAN2 at height h holds what an image of h pixels holds. A layer of StyleGAN3 at sampling rate s is
    cut off below s / 4 cycles, which is what s / 2 pixels hold; only its last layers, at the image's own rate, go up to
    all of its detail (Karras et al. 2021, section 3.2). The last colours count as the finest, so that small images have
    that group too.

    Args:
        rates: The height or sampling rate of each layer; from 16 on for StyleGAN3, from 4 on for StyleGAN2.
    """
    full = max(rates)
    oversampled = rates[0] >= LOWEST_OVERSAMPLED
    heights = [rate // 2 if oversampled and rate < full else rate for rate in rates]
    return (*heights[:-1], GROUPS["fine"][1])


def mix_styles(ws: Tensor, donors: Tensor, *, layers: Sequence[tuple[int, ...]], weights: Sequence[float]) -> Tensor:
    """Move the given layers of ws towards the donors' (style mixing of Karras et al. 2019, section 3.1, at weight 1).

    Args:
        ws: (N, num_ws, w_dim).
        donors: (N, num_ws, w_dim).
        layers: Of each sample.
        weights: How far each sample's layers go: 1 takes the donor's styles, less interpolates in w.
    """
    moved = torch.zeros(ws.shape[:2], dtype=torch.bool)
    for row, chosen in zip(moved, layers, strict=True):
        row[list(chosen)] = True
    target = lerp(ws, donors, torch.tensor(weights, dtype=ws.dtype)[:, None, None])
    return torch.where(moved[:, :, None], target, ws)


def _part(part: str, mix: str, rates: Sequence[int]) -> tuple[int, ...]:
    count = len(rates)
    if part == "all":
        return tuple(range(count))
    if part in SOURCES and count == SOURCES_COUNT:
        return tuple(_span(SOURCES[part]))
    if part in GROUPS and count > 1:
        low, high = GROUPS[part]
        layers = [i for i, height in enumerate(detail_heights(rates)) if low <= height <= high]
        if not layers:
            what = f"{option('mix')} names a group that this generator has not: no layer as {part}."
            raise ConfigError(what, got=mix, allowed=f"groups with layers among its {count}", fix=option(mix=("fine",)))
    else:
        layers = _listed(part, count)
    if not layers:
        raise ConfigError(f"{option('mix')} names no layers of this generator.", got=mix, **_allowed(count))
    return tuple(layers)


def _listed(part: str, count: int) -> list[int]:
    """The indices of a list such as 3-6,11; none if it is not a list of different layers."""
    try:
        layers = [layer for text in part.split(",") for layer in _span(text)]
    except ValueError:
        return []
    return layers if len(set(layers)) == len(layers) and all(0 <= layer < count for layer in layers) else []


def _allowed(count: int) -> dict[str, str]:
    """What an error says of a generator with that many w."""
    if count == 1:
        return {"allowed": "all, as one w makes the whole image", "fix": f"{option(mix=('all',))} {option(weight=0.3)}"}
    sources = f", {', '.join(SOURCES)}" if count == SOURCES_COUNT else f" ({', '.join(SOURCES)} need 16 layers)"
    return {
        "allowed": f"coarse, middle, fine, all{sources}, different layers from 0 to {count - 1}, or a union with +",
        "fix": f"{option(mix=('middle',))}, or {option(mix=('3,4,5',))}",
    }


def _span(text: str) -> range:
    first, _, last = text.strip().partition("-")
    return range(int(first), int(last or first) + 1)
