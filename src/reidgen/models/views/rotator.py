"""The network that shows a person in another structure: two encoders, and a decoder that part codes modulate."""

from torch import Tensor, nn
from torch.nn import functional

from reidgen.models.resnet import ResNet
from reidgen.models.translation.blocks import draw_weights, laid_out
from reidgen.models.translation.residual import Border, ResidualBlock
from reidgen.models.views.identity import PARTS, PartEncoder

HALVINGS = 2
BLOCKS = 4  # of the decoder


class Modulation(nn.Module):
    """Normalises a map crop by crop, then scales and shifts its rows as the codes of the parts that lie there say.

    Adaptive instance normalisation (Huang and Belongie 2017, equation 8), with a scale and a shift for each part, which
    pass smoothly from one to the next down the map.

    Args:
        channels: Of the map.
        code: Numbers of a part's code.
    """

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.to_styles = nn.Linear(code, 2 * channels)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """(N, C, H, W) and (N, PARTS, code) -> (N, C, H, W)."""
        styles = self.to_styles(codes).transpose(1, 2)
        down = functional.interpolate(styles, size=x.shape[2], mode="linear", align_corners=False)[..., None]
        scale, shift = down.to(x.dtype).chunk(2, dim=1)
        return functional.instance_norm(x) * (1 + scale) + shift


class ModulatedBlock(nn.Module):
    """x + two 3x3 convolutions of x, each modulated, with a ReLU between them."""

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.border = Border(1, "mirrored")
        self.first, self.second = (nn.Conv2d(channels, channels, 3, bias=False) for _ in range(2))
        self.first_style, self.second_style = (Modulation(channels, code) for _ in range(2))

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """(N, C, H, W) and (N, PARTS, code) -> the same map."""
        y = functional.relu(self.first_style(self.first(self.border(x)), codes))
        out: Tensor = x + self.second_style(self.second(self.border(y)), codes)
        return out


class StructureEncoder(nn.Module):
    """What says how a person stands -> a map of a quarter of the height: 7x7, two halvings, two residual blocks.

    Args:
        planes: Of the input: 1 for grey pictures, 17 for maps of key points.
        width: Channels at full size.
    """

    def __init__(self, planes: int, *, width: int) -> None:
        super().__init__()
        steps: list[nn.Module] = [Border(3, "mirrored"), *_normed(nn.Conv2d(planes, width, 7, bias=False))]
        for level in range(HALVINGS):
            fan = width << level
            steps += [Border(1, "mirrored"), *_normed(nn.Conv2d(fan, 2 * fan, 3, 2, bias=False))]
        steps += [ResidualBlock(width << HALVINGS, padding="mirrored") for _ in range(2)]
        self.layers = nn.Sequential(*steps)

    def forward(self, structure: Tensor) -> Tensor:
        """(N, planes, H, W), -1 to 1 -> (N, 4 width, H / 4, W / 4)."""
        out: Tensor = self.layers(laid_out(structure))
        return out


class Decoder(nn.Module):
    """A structure's map -> image: four modulated blocks, two modulated doublings, 7x7.

    Args:
        width: Channels at full size.
        code: Numbers of a part's code.
    """

    def __init__(self, *, width: int, code: int) -> None:
        super().__init__()
        fans = [width << level for level in range(HALVINGS, 0, -1)]
        self.blocks = nn.ModuleList([ModulatedBlock(width << HALVINGS, code) for _ in range(BLOCKS)])
        self.doublings = nn.ModuleList([nn.Conv2d(fan, fan // 2, 3, padding=1, bias=False) for fan in fans])
        self.styles = nn.ModuleList([Modulation(fan // 2, code) for fan in fans])
        self.last = nn.Sequential(Border(3, "mirrored"), nn.Conv2d(width, 3, 7), nn.Tanh())

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """(N, 4 width, H / 4, W / 4) and (N, PARTS, code) -> (N, 3, H, W), -1 to 1, in float32."""
        for block in self.blocks:
            x = block(x, codes)
        for convolution, style in zip(self.doublings, self.styles, strict=True):
            larger = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            x = functional.relu(style(convolution(larger), codes))
        out: Tensor = self.last(x)
        return out.float()


class Rotator(nn.Module):
    """Crop and structure -> the crop's person in that structure.

    With grey pictures of meshes this is the kind of Chen et al. 2021 (GCL), with grey crops that of Zheng et al. 2019
    (DG-Net), with key points pose-guided generation; the networks are our own.

    Args:
        backbone: Of the identity encoder.
        planes: Of a structure.
        width: Channels of structure encoder and decoder at full size.
        code: Numbers of a part's code.
    """

    def __init__(self, backbone: ResNet, *, planes: int, width: int = 32, code: int = 128) -> None:
        super().__init__()
        self.structure = StructureEncoder(planes, width=width)
        self.decoder = Decoder(width=width, code=code)
        draw_weights(self)
        self.identity = PartEncoder(backbone, code=code)

    def forward(self, codes: Tensor, structure: Tensor) -> Tensor:
        """Part codes (N, PARTS, code) and structures (N, planes, H, W), -1 to 1 -> images (N, 3, H, W), -1 to 1."""
        image: Tensor = self.decoder(self.structure(structure), codes)
        return image


def exchanged(codes: Tensor, others: Tensor, parts: tuple[int, ...]) -> Tensor:
    """Codes (N, PARTS, code) in which some parts are those of others: people change clothes, as in Eom and Ham 2019."""
    taken = codes.new_zeros(1, PARTS, 1, dtype=bool)  # type: ignore[call-overload]
    taken[:, list(parts)] = True
    return others.where(taken, codes)


def _normed(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(convolution.out_channels, affine=True), nn.ReLU()]
