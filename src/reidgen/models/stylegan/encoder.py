"""The encoder: from a crop and its present reconstruction to a step in w+, one head a w."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reidgen.models.resnet import Backbone, ResNet, StrideIn
from reidgen.models.stylegan.precision import at_least_float32

INPUTS = 6  # channels: the crop, and its reconstruction
SLOPE = 0.01
REDUCTION = 16  # of the backbone, which has no pooling at its entry
START_STD = 1e-3  # of the last layers' weights: the first step is a small one


class Head(nn.Module):
    """From the backbone's map to one w: 3x3 convolutions of stride 2 to a height of 1, what is left pooled, Linear.

    The map2style block of pSp (Richardson et al. 2021, section 3.1), with a pooling at its end because a map that is no
    square does not end at 1x1.
    """

    def __init__(self, channels: int, width: int, w_dim: int, *, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(halvings):
            layers += [nn.Conv2d(channels if i == 0 else width, width, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.convolutions = nn.Sequential(*layers)
        self.last = nn.Linear(width, w_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, w_dim)."""
        return self.last(self.convolutions(x).mean(dim=(2, 3)))


class Encoder(nn.Module):
    """A residual network on six channels, and a head for each w (ReStyle: Alaluf et al. 2021, section 3.3).

    Args:
        backbone: Name of the residual network; its first convolution has six channels and there is no pooling after it.
        size: (height, width) of the images.
        num_ws: How many w the generator takes.
        w_dim: Width of w.
        width: Channels of the heads.
        stride_in: Which convolution of a bottleneck block carries the stride, see `ResNet`.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        size: tuple[int, int],
        num_ws: int,
        w_dim: int,
        width: int,
        stride_in: StrideIn = "3x3",
    ) -> None:
        super().__init__()
        self.backbone = ResNet(backbone, stride_in=stride_in)
        self.backbone.conv1 = nn.Conv2d(INPUTS, 64, 7, stride=2, padding=3, bias=False)
        halvings = max((-(-size[0] // REDUCTION)).bit_length() - 1, 1)
        channels = self.backbone.channels
        self.heads = nn.ModuleList(Head(channels, width, w_dim, halvings=halvings) for _ in range(num_ws))

    def forward(self, target: Tensor, image: Tensor) -> Tensor:
        """The step in w+, (N, num_ws, w_dim).

        Args:
            target: The crops, (N, 3, H, W), -1 to 1.
            image: What the generator makes of their present w+, likewise.
        """
        net = self.backbone
        x = net.relu(net.bn1(net.conv1(torch.cat([target, image], dim=1))))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
        with torch.autocast(x.device.type, enabled=False):  # heads are cheap, and w+ wants its digits
            x = at_least_float32(x)
            return torch.stack([head(x) for head in self.heads], dim=1)

    def initialise(self, generator: torch.Generator) -> None:
        """Random weights for everything (He et al. 2015, equation 14); nearly nothing for the last layers."""
        self.backbone.initialise(generator)
        for head in self.heads.modules():
            if isinstance(head, nn.Conv2d):
                nn.init.kaiming_normal_(head.weight, a=SLOPE, nonlinearity="leaky_relu", generator=generator)
                assert head.bias is not None
                nn.init.zeros_(head.bias)
            elif isinstance(head, nn.Linear):
                nn.init.normal_(head.weight, std=START_STD, generator=generator)
                nn.init.zeros_(head.bias)

    @torch.no_grad()
    def start_from(self, trained: ResNet, *, mean: Sequence[float], std: Sequence[float]) -> None:
        """Give the backbone the weights of one for images of three channels.

        Crop and reconstruction each get half of its first filters, so that where they agree the first normalisation
        sees what that of the trained network saw of the image, up to the border, which is padded with black there and
        with grey here.

        Args:
            trained: A network of the same name and stride layout.
            mean: What was taken from its images, 0 to 1, by channel.
            std: What they were then divided by.
        """
        old, net = trained.state_dict(), self.backbone
        mean_, std_ = (old["conv1.weight"].new_tensor(values).view(3, 1, 1) for values in (mean, std))
        # its images were (x / 2 + 1 / 2 - mean) / std for our x from -1 to 1
        half = old["conv1.weight"] * 0.25 / std_
        constant = (old["conv1.weight"] * (0.5 - mean_) / std_).sum(dim=(1, 2, 3))
        changed = {
            "conv1.weight": torch.cat([half, half], dim=1),
            "bn1.running_mean": old["bn1.running_mean"] - constant,
        }
        net.load_state_dict({**old, **changed})
