"""StyleGAN3: how far from the side of a 128x64 canvas the side is felt, beside the 128x128 canvas of the same weights.

    python benchmarks/stylegan3_border.py [--channels 64] [--networks 8] [--threads 1]

The narrow canvas is a window of the square one, so whatever differs is the effect of where the narrow one ends: ten
samples of margin beyond its side instead of more image. For each column, counted from the side, the difference is taken
as the root of its mean square over images, rows and colours, and given relative to the deviation of the square's image
inside the window. Networks are random; each layer's input has unit size, as the running magnitudes of a training make
it. The last block halves the margin at the sides to five samples, as networks do that halve each map's width.
"""

import argparse
import dataclasses
from unittest.mock import patch

import torch

from reidgen.models import stylegan3
from reidgen.models.stylegan import schedule as stylegan3_schedule
from reidgen.models.stylegan.schedule import MARGIN, layer_bands

HEIGHT, WIDTH, W_DIM, IMAGES = 128, 64, 64, 2
THRESHOLDS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


def half_margin_bands(size, **widths):
    """The schedule with five samples of margin at the sides of a rectangle."""
    bands = layer_bands(size, **widths)
    if size[0] == size[1]:
        return bands
    return [
        dataclasses.replace(band, size=(band.size[0], band.size[1] - MARGIN)) if band.size != size else band
        for band in bands
    ]


def build(config, size, channels):
    return stylegan3.Generator(
        W_DIM, W_DIM, size=size, config=config, channel_base=channels * HEIGHT, channel_max=channels
    ).eval()


def measure(layer, inputs):
    layer.magnitude_ema.copy_(inputs[0].square().mean())


def profile(config, channels, seed):
    """Relative difference of each column, from the side inwards; the worse of both sides."""
    torch.manual_seed(seed)
    square, narrow = build(config, (HEIGHT, HEIGHT), channels), build(config, (HEIGHT, WIDTH), channels)
    ws = square.styles(torch.randn(IMAGES, W_DIM))
    handles = [layer.register_forward_pre_hook(measure) for layer in square.synthesis.layers]
    square.synthesis(ws)
    for handle in handles:
        handle.remove()
    narrow.load_state_dict(square.state_dict())
    side = (HEIGHT - WIDTH) // 2
    window = square.synthesis(ws)[..., side : side + WIDTH]
    deviation = (window - window.mean((2, 3), keepdim=True)).square().mean().sqrt()
    columns = (narrow.synthesis(ws) - window).square().mean((0, 1, 2)).sqrt() / deviation
    return torch.maximum(columns, columns.flip(0))[: WIDTH // 2]


def reach(columns, threshold):
    """Columns from the side up to the last one that differs by more."""
    return max((i + 1 for i, value in enumerate(columns.tolist()) if value > threshold), default=0)


def report(title, channels, networks):
    print(f"{title}: columns from the side that differ by more than a share of the image's deviation")
    print("| configuration | " + " | ".join(f"{t:g}" for t in THRESHOLDS) + " | outermost column | middle |")
    for config in ("t", "r"):
        columns = torch.stack([profile(config, channels, seed) for seed in range(networks)]).square().mean(0).sqrt()
        reaches = " | ".join(str(reach(columns, threshold)) for threshold in THRESHOLDS)
        print(f"| {config.upper()} | {reaches} | {columns[0]:.1e} | {columns[-1]:.1e} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with torch.no_grad():
        report("10 samples of margin", arguments.channels, arguments.networks)
        with patch.object(stylegan3_schedule, "layer_bands", half_margin_bands):
            report("5 samples of margin at the sides", arguments.channels, arguments.networks)


if __name__ == "__main__":
    main()
