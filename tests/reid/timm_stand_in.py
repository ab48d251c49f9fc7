"""A stand-in for the package timm, whose one network has what its networks have beside maps: see `Peculiar`."""

import sys
from types import SimpleNamespace

from torch import nn

CFG = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "hf_hub_id": None, "url": "", "tag": "none"}


class NormDropAct(nn.BatchNorm2d):
    """Normalisation, drop and activation in one, as timm's BatchNormAct2d is: a subclass with a forward of its own."""

    def __init__(self, channels):
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


class Peculiar(nn.Module):
    """A layer that draws from torch's own state, an activation within a normalisation, and a head that nobody calls."""

    def __init__(self):
        super().__init__()
        self.num_features, self.pretrained_cfg = 8, CFG
        self.stem = nn.Conv2d(3, 8, 8, stride=8)
        self.norm = NormDropAct(8)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Conv2d(8, 8, 1)
        self.head = nn.LayerNorm(8)

    def forward_features(self, images):
        return self.last(self.drop(self.norm(self.stem(images))))

    def forward_head(self, maps, pre_logits):
        return self.head(maps.mean(dim=(2, 3)))


PACKAGE = SimpleNamespace(
    is_model=lambda name: name == "peculiar",
    list_models=lambda: ["peculiar"],
    get_pretrained_cfg=lambda name: SimpleNamespace(fixed_input_size=False),
    create_model=lambda name, *, pretrained, num_classes: Peculiar(),
)


def install():
    """Let `import timm` find the stand-in in this process."""
    sys.modules["timm"] = PACKAGE
