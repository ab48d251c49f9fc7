"""Networks that Darknet's `.cfg` and `.weights` files describe, such as YOLOv4-tiny (Bochkovskiy et al. 2020).

Batch normalisation is folded into the convolutions while the weights are read, and the maps are kept in channels_last
memory: the network is for inference.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from reidgen.errors import WeightsError
from reidgen.models.detector.darknet_cfg import Section, parse_cfg

NORM_EPS = 1e-6
MAX_SIZE = 4096
MAX_MAP = 2**27  # numbers of a map, for one picture; YOLOv4 at 608x608 has 2**24
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "leaky": lambda x: functional.leaky_relu_(x, 0.1),
    "mish": functional.mish,
    "relu": torch.relu_,
    "logistic": torch.sigmoid_,
    "swish": functional.silu,
}
Maps = list[Tensor | None]


class Layer(nn.Module):
    """What a section becomes; it is called with the map before it and all earlier ones.

    Attributes:
        width: Channels of its map.
    """

    width: int


class Darknet(nn.Module):
    """A Darknet network; `forward` gives the maps before its YOLO layers, `boxes` what those make of them.

    Attributes:
        size: (height, width) of the input that the cfg names; other multiples of the stride work too.
        layers: One module for each section after the first.
    """

    def __init__(self, cfg: str) -> None:
        super().__init__()
        network, *sections = parse_cfg(cfg)
        self.size = network.integer("height"), network.integer("width")
        if min(self.size) < 1 or max(self.size) > MAX_SIZE:
            raise network.wrong("size", f"{self.size[0]}x{self.size[1]}", f"a height and width from 1 to {MAX_SIZE}")
        channels = network.integer("channels", 3)
        if channels != 3:
            raise network.wrong("channels", channels, "3, as crops are RGB")
        self.layers = nn.ModuleList()
        widths: list[int] = []
        for section in sections:
            layer = _layer(section, widths, channels if not widths else widths[-1])
            self.layers.append(layer)
            widths.append(layer.width)
        if not self.heads:
            raise WeightsError("The cfg describes no detector.", got="no [yolo] section", allowed="at least one")
        self._last_use = _last_uses(self.layers)
        self._check_shapes()

    @property
    def heads(self) -> list["Yolo"]:
        """The YOLO layers, in order."""
        return [layer for layer in self.layers if isinstance(layer, Yolo)]

    @property
    def convolutions(self) -> list["Convolution"]:
        """The convolutions, in the order of the weight file."""
        return [layer for layer in self.layers if isinstance(layer, Convolution)]

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps that the YOLO layers read.

        Args:
            images: float (B, 3, H, W), RGB in [0, 1].

        Returns:
            For each YOLO layer (B, anchors * (5 + classes), H / stride, W / stride).
        """
        outputs: Maps = []
        heads = []
        x = images.contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.layers):
            x = layer(x, outputs)
            if isinstance(layer, Yolo):
                heads.append(x)
            outputs.append(x)
            for past, last in enumerate(self._last_use[: number + 1]):
                if last <= number:  # nobody reads it any more; a batch of 16 would hold half a gigabyte
                    outputs[past] = None
        return heads

    def _check_shapes(self) -> None:
        """Go through the network once without computing anything."""
        outputs: Maps = []
        try:
            x = torch.empty(1, 3, *self.size, device="meta")
            for layer in self.layers:
                nowhere = {name: value.to("meta") for name, value in layer.named_parameters()}
                x = torch.func.functional_call(layer, nowhere, (x, outputs))
                outputs.append(x)
                if x.numel() > MAX_MAP:
                    raise RuntimeError(f"a map of {x.numel():,} numbers a picture")
        except (RuntimeError, OverflowError, TypeError) as error:
            raise WeightsError(
                "The cfg's maps do not fit each other.",
                got=str(error).splitlines()[0],
                allowed="maps of one size where they are joined, no smaller than windows, none beyond reason",
                fix="a height and width that are multiples of 32",
            ) from error

    def boxes(self, images: Tensor) -> Tensor:
        """Every box of every YOLO layer, (B, N, 5 + classes) as `decode` describes them."""
        shape = images.shape[-2], images.shape[-1]
        maps = self(images)
        return torch.cat([head.decode(values, shape) for head, values in zip(self.heads, maps, strict=True)], 1)

    def load_weights(self, data: bytes) -> None:
        """Fill the network with the content of a `.weights` file.

        The header is three int32 (major, minor, revision) and the number of images seen, as 8 bytes from version 0.2
        on and 4 before. For each convolution follow, as little-endian float32, the biases, for batch normalisation
        scales, means and variances, and the kernels (out, in, height, width).

        Raises:
            WeightsError: The file is shorter or longer than this network's, or of a version that is not supported, or
                holds numbers that are not finite or variances that are negative.
        """
        values = self._values(data)
        at = 0
        for number, conv in enumerate(self.convolutions):
            count = conv.values
            conv.fill(values[at : at + count], f"convolution {number + 1} of {len(self.convolutions)}")
            at += count

    def _values(self, data: bytes) -> np.ndarray:
        header = _header_bytes(data)
        expected = header + 4 * sum(conv.values for conv in self.convolutions)
        if len(data) != expected:
            raise WeightsError(
                f"The weight file is {'truncated' if len(data) < expected else 'too long for this cfg'}.",
                got=f"{len(data):,} bytes",
                allowed=f"{expected:,} bytes: a header of {header} and {(expected - header) // 4:,} numbers",
                fix="download the file again, or give the cfg that belongs to it",
            )
        return np.frombuffer(data, "<f4", offset=header)


class Convolution(Layer):
    """A convolution with its activation; batch normalisation, where the cfg asks for it, is folded into it."""

    def __init__(self, section: Section, width_in: int) -> None:
        super().__init__()
        size, self.width = section.integer("size", 1), section.integer("filters", 1)
        groups, stride = section.integer("groups", 1), section.integer("stride", 1)
        strides = section.integer("stride_y", stride), section.integer("stride_x", stride)
        if min(size, self.width, groups, *strides) < 1 or width_in % groups or self.width % groups:
            got = f"size {size}, filters {self.width}, groups {groups}, stride {strides} on {width_in} channels"
            raise section.wrong("shape", got, "positive numbers, and groups that divide both numbers of channels")
        padding = size // 2 if section.integer("pad", 0) else section.integer("padding", 0)
        self.batch_norm = bool(section.integer("batch_normalize", 0))
        self.activation = section.options.get("activation", "logistic")
        self.conv = nn.Conv2d(width_in, self.width, size, strides, padding, groups=groups)
        self.requires_grad_(False)

    @property
    def values(self) -> int:
        """How many numbers of a weight file belong to this layer."""
        return self.conv.weight.numel() + self.width * (4 if self.batch_norm else 1)

    def fill(self, values: np.ndarray, name: str) -> None:
        """Take the layer's numbers in the file's order; `name` is for the error."""
        count = 4 if self.batch_norm else 1
        if not np.isfinite(values).all() or (count == 4 and (values[3 * self.width : 4 * self.width] < 0).any()):
            raise WeightsError(
                f"The weight file is damaged: {name}.",
                got="numbers that are not finite, or negative variances",
                allowed="finite numbers",
                fix="download the file again, or give the cfg that belongs to it",
            )
        parts = torch.from_numpy(values[: count * self.width].astype(np.float64)).view(count, self.width)
        kernels = torch.from_numpy(values[count * self.width :].astype(np.float64)).view(self.conv.weight.shape)
        bias = parts[0]
        if self.batch_norm:
            scale = parts[1] / (parts[3] + NORM_EPS).sqrt()
            kernels, bias = kernels * scale.view(-1, 1, 1, 1), bias - parts[2] * scale
        assert self.conv.bias is not None
        self.conv.weight.data = kernels.float().contiguous(memory_format=torch.channels_last)
        self.conv.bias.data = bias.float()

    def forward(self, x: Tensor, _outputs: Maps) -> Tensor:
        """(B, C, H, W) -> (B, width, H', W')."""
        return ACTIVATIONS[self.activation](self.conv(x))


class Route(Layer):
    """Earlier maps one after the other in the channels, or one of `groups` equal parts of each."""

    def __init__(self, section: Section, widths: list[int]) -> None:
        super().__init__()
        self.sources = [_source(section, "layers", number, widths) for number in section.integers("layers")]
        self.groups, self.part = section.integer("groups", 1), section.integer("group_id", 0)
        if not self.sources or not 0 <= self.part < self.groups or any(widths[s] % self.groups for s in self.sources):
            raise section.wrong("groups", f"part {self.part} of {self.groups}", "a part that is there")
        self.width = sum(widths[source] for source in self.sources) // self.groups

    def forward(self, _x: Tensor, outputs: Maps) -> Tensor:
        """The joined maps."""
        parts = [_map(outputs, source).chunk(self.groups, 1)[self.part] for source in self.sources]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class Shortcut(Layer):
    """The sum of the map before and an earlier one of the same width."""

    def __init__(self, section: Section, widths: list[int]) -> None:
        super().__init__()
        self.sources = [_source(section, "from", number, widths) for number in section.integers("from")]
        self.activation, self.width = section.options.get("activation", "linear"), widths[-1]
        if any(widths[source] != self.width for source in self.sources):
            raise section.wrong("from", [widths[s] for s in self.sources], f"maps of {self.width} channels")

    def forward(self, x: Tensor, outputs: Maps) -> Tensor:
        """The sum."""
        for source in self.sources:
            x = x + _map(outputs, source)
        return ACTIVATIONS[self.activation](x)


class MaxPool(Layer):
    """The maximum over windows; half of the padding (size - 1 unless told) lies before the map, the rest behind it."""

    def __init__(self, section: Section, width: int) -> None:
        super().__init__()
        self.width, self.stride = width, section.integer("stride", 1)
        self.window = section.integer("size", self.stride)
        self.padding = section.integer("padding", self.window - 1)
        if min(self.stride, self.window) < 1 or self.padding < 0:
            raise section.wrong("size", f"size {self.window}, stride {self.stride}, padding {self.padding}", "positive")

    def forward(self, x: Tensor, _outputs: Maps) -> Tensor:
        """(B, C, H, W) -> (B, C, (H + padding - size) // stride + 1, and so for W)."""
        before = self.padding // 2
        if before or any((length + self.padding - self.window) % self.stride < self.padding for length in x.shape[2:]):
            # A pad that no window reads would cost a copy: the usual 2/2 on even maps has none.
            behind = self.padding - before
            x = functional.pad(x, (before, behind, before, behind), value=-torch.inf)
        return functional.max_pool2d(x, self.window, self.stride)


class Upsample(Layer):
    """Each pixel repeated `stride` times in both directions."""

    def __init__(self, section: Section, width: int) -> None:
        super().__init__()
        self.width, self.stride = width, section.integer("stride", 2)
        if self.stride < 1:
            raise section.wrong("stride", self.stride, "at least 1")

    def forward(self, x: Tensor, _outputs: Maps) -> Tensor:
        """(B, C, H, W) -> (B, C, stride * H, stride * W)."""
        return functional.interpolate(x, scale_factor=self.stride)


class Yolo(Layer):
    """A detection layer: it passes its map on, and knows how to read boxes from it."""

    def __init__(self, section: Section, width: int) -> None:
        super().__init__()
        self.width, self.classes = width, section.integer("classes", 20)
        self.scale_x_y = section.number("scale_x_y", 1.0)
        pairs = section.numbers("anchors")
        mask = section.integers("mask") if "mask" in section.options else list(range(len(pairs) // 2))
        if not mask or max(mask) >= len(pairs) // 2 or min(mask) < 0:
            raise section.wrong("mask", mask, f"numbers of the {len(pairs) // 2} anchors")
        self.anchors = [(pairs[2 * number], pairs[2 * number + 1]) for number in mask]
        if width != len(mask) * (5 + self.classes):
            allowed = f"{len(mask)} * (5 + {self.classes}) = {len(mask) * (5 + self.classes)}"
            raise section.wrong("map to read", f"{width} channels", allowed)

    def forward(self, x: Tensor, _outputs: Maps) -> Tensor:
        """The map as it is."""
        return x

    def decode(self, values: Tensor, size: tuple[int, int]) -> Tensor:
        """The boxes of a map.

        With s = `scale_x_y`, (i, j) the cell and H', W' the size of the map,

            x = ((sigmoid(t_x) - 0.5) s + 0.5 + j) / W'       w = anchor_w exp(t_w) / W

        and so for y and h (Redmon & Farhadi 2018, section 2.1; Bochkovskiy et al. 2020, section 3.4).

        Args:
            values: (B, anchors * (5 + classes), H', W') as `Darknet.forward` gives it.
            size: (height, width) of the network's input, pixels.

        Returns:
            (B, H' * W' * anchors, 5 + classes): centre x, centre y, width and height as shares of the input, then the
            objectness and the probability of each class, all in [0, 1] but the box; rows ordered by cell, then anchor.
        """
        batch, _, height, width = values.shape
        values = values.view(batch, len(self.anchors), 5 + self.classes, height, width).permute(0, 3, 4, 1, 2).float()
        values = values.contiguous()
        y = torch.arange(height, device=values.device).view(-1, 1, 1)
        x = torch.arange(width, device=values.device).view(1, -1, 1)
        anchors = torch.tensor(self.anchors, device=values.device)
        extent = values[..., 2:4].exp() * anchors / torch.tensor([size[1], size[0]], device=values.device)
        values.sigmoid_()
        values[..., :2] = (values[..., :2] - 0.5) * self.scale_x_y + 0.5
        values[..., 0] = (values[..., 0] + x) / width
        values[..., 1] = (values[..., 1] + y) / height
        values[..., 2:4] = extent
        return values.view(batch, -1, 5 + self.classes)


def _layer(section: Section, widths: list[int], width: int) -> Layer:
    if section.kind == "convolutional":
        return Convolution(section, width)
    if not widths:
        raise WeightsError(
            "The cfg's first layer is not a convolution.", got=f"[{section.kind}]", allowed="[convolutional]"
        )
    joins: dict[str, Callable[[Section, list[int]], Layer]] = {"route": Route, "shortcut": Shortcut}
    if section.kind in joins:
        return joins[section.kind](section, widths)
    kinds: dict[str, Callable[[Section, int], Layer]] = {"maxpool": MaxPool, "upsample": Upsample, "yolo": Yolo}
    return kinds[section.kind](section, width)


def _source(section: Section, name: str, number: int, widths: Sequence[int]) -> int:
    """An earlier layer: counted from the first one, or back from this one where negative."""
    source = number if number >= 0 else len(widths) + number
    if not 0 <= source < len(widths):
        raise section.wrong(name, number, f"a layer before this one, which is number {len(widths)}")
    return source


def _map(outputs: Maps, source: int) -> Tensor:
    found = outputs[source]
    assert found is not None, "freed before its last use"
    return found


def _last_uses(layers: nn.ModuleList) -> list[int]:
    """For each layer the number of the last one that reads its map."""
    last = [number + 1 for number in range(len(layers))]
    for number, layer in enumerate(layers):
        for source in getattr(layer, "sources", []):
            last[source] = max(last[source], number)
    return last


def _header_bytes(data: bytes) -> int:
    if len(data) < 16:
        raise WeightsError(
            "The weight file is truncated.", got=f"{len(data)} bytes", allowed="a header of 16 or 20 bytes first"
        )
    major, minor = (int(number) for number in np.frombuffer(data[:8], "<i4"))
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise WeightsError(
            "The weight file is of no supported version of Darknet.",
            got=f"version {major}.{minor}",
            allowed="0.1 to 999.999, which store kernels in rows",
            fix="download the file again",
        )
    return 20 if major * 10 + minor >= 2 else 16
