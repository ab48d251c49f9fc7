"""Which layers of w a style group means, and writing one person's styles into another's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from reidgen.errors import ConfigError

# Heights of the layers of each group; at height 128 they are layers 0-2, 3-6 and 7-11. The last colours always count as
# fine, so that small images have the group too.
GROUPS = {"coarse": (0, 8), "middle": (9, 32), "fine": (33, 1024)}


def style_layers(mix: str, rates: Sequence[int]) -> tuple[int, ...]:
    """The layers that a mix takes from the donor.

    Args:
        mix: "coarse" (blocks of height 4 and 8), "middle" (16 and 32), "fine" (64 and above, and the last colours), or
            layer indices such as "3,4,5" or "3-6,11".
        rates: The height or sampling rate of each layer, `GeneratorNetwork.layer_rates`.

    Raises:
        ConfigError: The name is unknown, an index is no number, is named twice, or the generator has no such layer.
    """
    count = len(rates)
    if mix in GROUPS:
        low, high = GROUPS[mix]
        heights = [*rates[:-1], GROUPS["fine"][1]]
        return tuple(i for i, height in enumerate(heights) if low <= height <= high)
    try:
        layers = [layer for part in mix.split(",") for layer in _span(part)]
    except ValueError:
        layers = []
    if not layers or len(set(layers)) < len(layers) or not all(0 <= layer < count for layer in layers):
        raise ConfigError(
            "--mix names no layers of this generator.",
            got=mix,
            allowed=f"coarse, middle, fine, or different layers from 0 to {count - 1}",
            fix="--mix middle, or --mix 3,4,5",
        )
    return tuple(layers)


def mix_styles(ws: Tensor, donors: Tensor, layers: Sequence[tuple[int, ...]]) -> Tensor:
    """Replace each sample's given layers of ws (N, num_ws, w_dim) by the donors' (Karras et al. 2019, section 3.1)."""
    replaced = torch.zeros(ws.shape[:2], dtype=torch.bool)
    for row, chosen in zip(replaced, layers, strict=True):
        row[list(chosen)] = True
    return torch.where(replaced[:, :, None], donors, ws)


def _span(text: str) -> range:
    first, _, last = text.strip().partition("-")
    return range(int(first), int(last or first) + 1)
