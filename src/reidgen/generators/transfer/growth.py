"""Networks that are taller than the one they start from: their new blocks begin as a change of resolution alone.

A generator's new blocks begin without colours of their own, so its image is the smaller one's, enlarged. A
discriminator's new blocks begin as halvings of the image, and the last of them as the smaller one's first layer, so it
judges an image as the smaller one judges it at half the size. Both are exact, and every weight still learns.
"""

import math

import torch
from torch import Tensor, nn

from reidgen.models.layers import GAIN, SLOPE, EqualConv
from reidgen.models.stylegan.discriminator import Discriminator, ResidualBlock

COLOURS = 3
PAIRED = 2 * COLOURS  # a leaky ReLU keeps x whole in the pair of what it makes of x and of -x
_HALF = math.sqrt(0.5)  # factor of both branches of a residual block
QUIET = "zero, so that the image begins as the smaller network's, enlarged"
HALVING = "a halving of the image, so that it is judged as the smaller network judges it"


@torch.no_grad()
def quiet_colours(network: nn.Module, height: int) -> list[str]:
    """Let the colours of all StyleGAN2 blocks above a height begin at zero.

    Args:
        network: The generator.
        height: Of the generator it starts from.

    Returns:
        Names of the tensors that were written.
    """
    written = []
    for name, value in network.state_dict().items():
        parts = name.split(".")
        above = parts[:2] == ["synthesis", "blocks"] and int(parts[2]) > height
        if above and name.endswith(("to_rgb.conv.weight", "to_rgb.bias")):
            value.zero_()
            written.append(name)
    return written


@torch.no_grad()
def halve_first(network: Discriminator, height: int, weight: Tensor, bias: Tensor) -> list[str]:
    """Let all blocks above a height begin as halvings of the image, the last one ending in another's first layer.

    Args:
        network: The taller discriminator.
        height: Of the discriminator it starts from.
        weight: (C, 3, 1, 1), of that one's first layer.
        bias: (C,), of the same.

    Returns:
        Names of the tensors that were written; none where the new blocks have fewer than six channels.
    """
    blocks = {name: block for name, block in network.blocks.items() if int(name) > height}
    widths = [network.from_rgb.weight.shape[0], *[_block(block).conv0.weight.shape[0] for block in blocks.values()]]
    if min(widths) < PAIRED:
        return []
    _write_pairs(network.from_rgb, torch.eye(COLOURS))
    colours = _unpaired(widths[0])
    written = ["from_rgb.weight", "from_rgb.bias"]
    for i, (name, block) in enumerate(blocks.items()):
        if i + 1 == len(blocks):
            _end_in(_block(block), colours, weight, bias)
            written.append(f"blocks.{name}.conv0.weight")
            written.append(f"blocks.{name}.conv0.bias")
        else:
            _halve(_block(block), colours)
            colours = torch.eye(COLOURS, _block(block).conv1.weight.shape[0])
        written += [f"blocks.{name}.{part}" for part in ("conv1.weight", "conv1.bias", "skip.weight")]
    return written


def _block(block: nn.Module) -> ResidualBlock:
    assert isinstance(block, ResidualBlock)
    return block


def _unpaired(channels: int) -> Tensor:
    """(3, channels): takes the colours out of the pairs that a leaky ReLU has made of them."""
    out = torch.zeros(COLOURS, channels)
    out[:, :COLOURS] = torch.eye(COLOURS) / (1 + SLOPE)
    out[:, COLOURS:PAIRED] = -torch.eye(COLOURS) / (1 + SLOPE)
    return out


def _write(conv: EqualConv, rows: slice, effective: Tensor, *, gain: float) -> None:
    """Make some outputs of a convolution the given product (out, in) of the pixel in the middle, and nothing else.

    The weights are divided by what the layer multiplies them with when it runs.
    """
    kernel = conv.weight.shape[-1]
    conv.weight[rows] = 0
    conv.weight[rows, :, kernel // 2, kernel // 2] = effective * (math.sqrt(conv.weight[0].numel()) / gain)
    if conv.bias is not None:
        conv.bias[rows] = 0


def _write_pairs(conv: EqualConv, colours: Tensor) -> None:
    """First six outputs: the leaky ReLU of the colours and of their negatives; `colours` (3, in) finds them."""
    _write(conv, slice(PAIRED), torch.cat([colours, -colours]), gain=GAIN)


def _halve(block: ResidualBlock, colours: Tensor) -> None:
    """First three outputs: the colours at half the size, through the branch without leaky ReLU."""
    _write(block.skip, slice(COLOURS), colours, gain=_HALF)
    _write(block.conv1, slice(COLOURS), torch.zeros(COLOURS, block.conv1.weight.shape[1]), gain=1.0)


def _end_in(block: ResidualBlock, colours: Tensor, weight: Tensor, bias: Tensor) -> None:
    """First outputs: what a first layer (C, 3, 1, 1) makes of the colours at half the size."""
    count = min(len(weight), block.conv1.weight.shape[0])
    first = weight[:count, :, 0, 0] * (GAIN / math.sqrt(COLOURS))
    _write_pairs(block.conv0, colours)
    _write(block.conv1, slice(count), first @ _unpaired(block.conv1.weight.shape[1]), gain=GAIN * _HALF)
    _write(block.skip, slice(count), torch.zeros(count, block.skip.weight.shape[1]), gain=_HALF)
    assert block.conv1.bias is not None
    block.conv1.bias[:count] = bias[:count] * GAIN / (GAIN * _HALF)
