"""What each layer of StyleGAN3 works at: sampling rates, cutoffs, sizes, channels, factors and padding, as a table."""

import math
from dataclasses import dataclass
from typing import Literal

Config = Literal["t", "r"]

LAYERS = 14  # as published, besides the one that writes colours
CRITICAL = 2  # of them, at the end, critically sampled: all frequencies up to half the sampling rate
MARGIN = 10  # samples on each side of the canvas that the image does not show
FIRST_CUTOFF, FIRST_STOPBAND = 2.0, 2.0**2.1
LAST_STOPBAND = 2.0**0.3  # of the last cutoff
TAPS = 6  # of a filter, for each sample that it inserts or leaves out


@dataclass(frozen=True)
class Band:
    """What a layer's output can hold.

    Attributes:
        rate: Samples per image height.
        cutoff: Where the low-pass filters' response is one half, in cycles per image height.
        half_width: Half of the filters' transition band.
        size: (height, width) of the map in samples, margins included.
        channels: Of the map.
    """

    rate: int
    cutoff: float
    half_width: float
    size: tuple[int, int]
    channels: int


@dataclass(frozen=True)
class LayerPlan:
    """A layer: from the band of its input to that of its output.

    Attributes:
        before: Band of the input.
        after: Band of the output.
        kernel: Side of the convolution, which is padded by kernel - 1 on each side.
        colours: Whether it writes the image, without filters.
        radial: Whether the filter on the way down is radially symmetric.
        up: Samples for each one of the input on the grid of the leaky ReLU.
        down: Samples on that grid for each one of the output.
        padding: (left, right, top, bottom) on that grid before the filter on the way up; negative crops.
    """

    before: Band
    after: Band
    kernel: int
    colours: bool
    radial: bool
    up: int
    down: int
    padding: tuple[int, int, int, int]

    @property
    def inner_rate(self) -> int:
        """Sampling rate of the leaky ReLU."""
        return self.before.rate * self.up

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """The part of a negative padding that is whole samples of the convolution: (left, right, top, bottom)."""
        left, right, top, bottom = (max(-side, 0) // self.up for side in self.padding)
        return left, right, top, bottom

    @property
    def padding_after_crop(self) -> tuple[int, int, int, int]:
        """What is left to pad on the grid of the leaky ReLU once the convolution is cropped."""
        left, right, top, bottom = (side + cut * self.up for side, cut in zip(self.padding, self.crop, strict=True))
        return left, right, top, bottom


def layer_bands(size: tuple[int, int], *, channel_base: int, channel_max: int, layers: int = LAYERS) -> list[Band]:
    """The band that each layer puts out, the colours' last.

    Rates and cutoffs are those of a square of the image's height; the width has the same margins and its share of the
    samples. Karras et al. 2021, section 3.2 and appendix F: cutoffs and stopbands grow by equal factors.

    Args:
        size: (height, width) of the images; the height a power of two >= 16, the width equal to it or half of it.
        channel_base: Channels at cutoff f are min(channel_base / (2 f), channel_max).
        channel_max: See channel_base.
        layers: How many, besides the one that writes colours; more than two.
    """
    height, width = size
    power_of_two = height >= 16 and height & (height - 1) == 0
    assert power_of_two and width in (height, height // 2), f"{size} has no StyleGAN3"
    last_cutoff = height / 2
    last_stopband = last_cutoff * LAST_STOPBAND
    bands = []
    for i in range(layers + 1):
        share = min(i / (layers - CRITICAL), 1)
        cutoff = FIRST_CUTOFF * (last_cutoff / FIRST_CUTOFF) ** share
        stopband = FIRST_STOPBAND * (last_stopband / FIRST_STOPBAND) ** share
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, height)))
        half_width = max(stopband, rate / 2) - cutoff
        whole = (rate + 2 * MARGIN, rate * width // height + 2 * MARGIN)
        channels = round(min(channel_base / 2 / cutoff, channel_max)) if i < layers else 3
        bands.append(Band(rate, cutoff, half_width, whole if i < layers - 1 else size, channels))
    return bands


def schedule(
    size: tuple[int, int], *, config: Config, channel_base: int, channel_max: int, layers: int = LAYERS
) -> list[LayerPlan]:
    """The table of all layers, as `layer_bands` and the configuration determine them.

    Args:
        size: (height, width) of the images.
        config: "t", with 3x3 convolutions and separable filters, or "r", with 1x1 convolutions and filters that treat
            all directions alike, except in the critically sampled layers.
        channel_base: See `layer_bands`.
        channel_max: See `layer_bands`.
        layers: See `layer_bands`.
    """
    bands = layer_bands(size, channel_base=channel_base, channel_max=channel_max, layers=layers)
    return [_plan(layers - i, bands[max(i - 1, 0)], bands[i], config) for i in range(len(bands))]


def _plan(to_come: int, before: Band, after: Band, config: Config) -> LayerPlan:
    colours, critical = to_come == 0, to_come <= CRITICAL
    inner = max(before.rate, after.rate) * (1 if colours else 2)
    up, down = inner // before.rate, inner // after.rate
    kernel = 3 if config == "t" and not colours else 1
    top, bottom = _padding(before.size[0], after.size[0], kernel, up, down)
    left, right = _padding(before.size[1], after.size[1], kernel, up, down)
    radial = config == "r" and not critical
    return LayerPlan(before, after, kernel, colours, radial, up, down, (left, right, top, bottom))


def _padding(size_in: int, size_out: int, kernel: int, up: int, down: int) -> tuple[int, int]:
    """How much the upsampled row grows at its start and end, so that `size_out` samples come out."""
    total = (size_out - 1) * down + 1 - (size_in + kernel - 1) * up
    total += filter_taps(up) + filter_taps(down) - 2
    start = (total + up) // 2
    return start, total - start


def filter_taps(factor: int) -> int:
    """Length of the filter that goes with a resampling by a factor."""
    return 1 if factor == 1 else TAPS * factor
