"""Who a person is: a re-ID network, and a code for each part of the body from its last map."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from reidgen.models.resnet import ResNet

PARTS = 4  # stripes of a crop, from the head to the feet
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which re-ID networks expect


class PartEncoder(nn.Module):
    """Crops -> what tells people apart, and part codes.

    Args:
        backbone: Gives the map.
        code: Numbers of a part's code.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: ResNet, *, code: int = 128) -> None:
        super().__init__()
        self.backbone = backbone
        self.code = nn.Linear(backbone.channels, code)
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, H, W), -1 to 1, to features (N, channels) and codes (N, PARTS, code), in float32."""
        x = self.backbone(((crops + 1) / 2 - self.mean) / self.std)
        stripes = _stripes(x, PARTS).float()
        return stripes.mean(dim=1), self.code(stripes)


def _stripes(x: Tensor, count: int) -> Tensor:
    """Means of horizontal stripes of a map (N, C, H, W) that may be lower than there are stripes: (N, count, C)."""
    rows = x.mean(dim=3)
    if rows.shape[2] % count:  # adaptive pooling's gradients are added in any order on a GPU
        rows = functional.interpolate(rows, size=count, mode="linear", align_corners=False)
    return rows.unflatten(2, (count, -1)).mean(dim=3).transpose(1, 2)
