"""The part of the configs of encoders and inversions that says what two images have to have in common."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Part, check_not_negative, require
from reidgen.config.reid.backbone import StrideIn, check_stride
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class LikenessConfig(Part):
    """How the likeness of an image to its original is measured. A distance with weight 0 is left out.

    Attributes:
        l2_weight: Weight of the mean squared difference of pixels from -1 to 1.
        perceptual_weight: Weight of the perceptual distance.
        reid_weight: Weight of 1 - cosine of re-ID embeddings; above 0 it needs `reid`.
        moco_weight: Weight of 1 - cosine of MoCo's features (He et al. 2020); above 0 it needs `moco_weights`.
        moco_weights: The published ResNet-50 of MoCo, as its site has it (.pth.tar, .pth) or as safetensors.
        perceptual_backbone: Network of the perceptual distance: a ResNet gives "resnet-perceptual", "lpips-alex" and
            "lpips-vgg" give LPIPS (Zhang et al. 2018, version 0.1).
        perceptual_weights: Its weights: "imagenet" downloads torchvision's file, a path reads a safetensors file.
        perceptual_heads: LPIPS's weights of channels: "package" takes those in the package lpips (extra `lpips`), which
            is not imported; a path reads its alex.pth or vgg.pth.
        perceptual_stride_in: Stride layout of that file, as in train-reid.
    """

    l2_weight: float = 1.0
    perceptual_weight: float = 0.8
    reid_weight: float = 0.5
    moco_weight: float = 0.0
    moco_weights: str | None = None
    perceptual_backbone: Literal["resnet18", "resnet34", "resnet50", "lpips-alex", "lpips-vgg"] = "resnet50"
    perceptual_weights: str = "imagenet"
    perceptual_heads: str = "package"
    perceptual_stride_in: StrideIn = "3x3"

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weight of each distance."""
        weights = {"l2": self.l2_weight, "perceptual": self.perceptual_weight, "reid": self.reid_weight}
        return weights | {"moco": self.moco_weight}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "l2_weight", "perceptual_weight", "reid_weight", "moco_weight")
        require(
            any(self.loss_weights.values()),
            "All weights of the loss are 0.",
            got=f"{option(l2_weight=0)} {option(perceptual_weight=0)} {option(reid_weight=0)} {option(moco_weight=0)}",
            allowed="at least one above 0",
            fix=option(l2_weight=1),
        )
        check_stride(self, prefix="perceptual_")
        require(
            self.perceptual_heads == "package" or self.perceptual_backbone.startswith("lpips-"),
            f"{self.perceptual_backbone} has no heads.",
            got=option(perceptual_heads=self.perceptual_heads),
            allowed=f"{option(perceptual_backbone='lpips-alex')} or lpips-vgg",
            fix=option(perceptual_backbone="lpips-alex"),
        )
        require(
            self.perceptual_weights != "random",
            "A perceptual distance needs trained features.",
            got=option(perceptual_weights="random"),
            allowed="imagenet, or a .safetensors file",
            fix=f"{option(perceptual_weights='imagenet')}, or {option(perceptual_weight=0)}",
        )
