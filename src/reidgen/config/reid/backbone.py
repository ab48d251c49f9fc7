"""The part of a config that a backbone is built and opened from."""

from dataclasses import dataclass
from typing import Any, Literal

from reidgen.config.base import Part, check_counts, check_size, require
from reidgen.errors import option

StrideIn = Literal["3x3", "1x1"]
Attention = Literal["none", "non-local"]
TIMM = "timm:"
WITH_1X1 = ("resnet50", "resnet50_ibn")  # whose blocks begin with a 1x1 convolution
RESNETS = ("resnet18", "resnet18_ibn", "resnet34", "resnet34_ibn", *WITH_1X1)
IBN = "_ibn"
CLIP = ("clip-resnet50", "clip-vit-b16")


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(Part):
    """A network that turns crops into maps of features, and where its weights come from.

    Attributes:
        backbone: "resnet18", "resnet34", "resnet50", each also with "_ibn"; "clip-resnet50" or "clip-vit-b16" for
            CLIP's image encoders; or "timm:NAME" for a network of the package timm (extra: timm).
        weights: "imagenet" downloads the backbone's file, "openai" that of a CLIP encoder; a path reads a weight file
            or takes the backbone of the run folder of an earlier train-reid; "random" trains from scratch.
        size: (height, width) the crops are resized to.
        last_stride: Stride of a ResNet's last stage; networks of timm and clip-vit-b16 keep their own, and take 2
            alone.
        stride_in: Which convolution of a block of resnet50 has the stride in the file of weights: "3x3" as in
            torchvision's, "1x1" as in those of Caffe and Keras.
        attention: "non-local" puts non-local blocks into stages 2 and 3 of a ResNet.
        base_width: Channels of a ResNet's first stage; later ones have 2, 4 and 8 times as many. 64 as published: all
            published weights have it.
    """

    backbone: str = "resnet50"
    weights: str = "imagenet"
    size: tuple[int, int] = (256, 128)
    last_stride: Literal[1, 2] = 2
    stride_in: StrideIn = "3x3"
    attention: Attention = "none"
    base_width: int = 64

    @property
    def of_timm(self) -> bool:
        """Whether the network is one of the package timm."""
        return self.backbone.startswith(TIMM)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("size", self.size)
        require(
            self.backbone in (*RESNETS, *CLIP) or (self.of_timm and self.backbone != TIMM),
            "The backbone is unknown.",
            got=self.backbone,
            allowed=f"{', '.join((*RESNETS, *CLIP))}, or {TIMM}NAME",
            fix=option(backbone="resnet50"),
        )
        check_stride(self)
        self._check_blocks()
        self._check_clip()

    def _check_blocks(self) -> None:
        check_counts(self, "base_width")
        require(
            self.base_width == 64 or (self.backbone in RESNETS and self.weights != "imagenet"),
            "There are no such weights of this width.",
            got=f"{option(backbone=self.backbone)} {option(weights=self.weights)} {option(base_width=self.base_width)}",
            allowed=f"{option(base_width=64)}, or a ResNet from random weights or a file of its own",
            fix=f"{option(base_width=64)}, or {option(weights='random')}",
        )
        require(
            self.attention == "none" or self.backbone in RESNETS,
            "Non-local blocks go into the ResNets alone.",
            got=f"{option(attention=self.attention)} {option(backbone=self.backbone)}",
            allowed=option(attention="none"),
            fix=f"{option(attention='none')}, or {option(backbone='resnet50')}",
        )
        require(
            self.last_stride == 2 or self.backbone in (*RESNETS, "clip-resnet50"),
            "The last stride is an option of the ResNets alone.",
            got=f"{option(last_stride=self.last_stride)} {option(backbone=self.backbone)}",
            allowed=option(last_stride=2),
            fix=f"{option(last_stride=2)}, or {option(backbone='resnet50')}",
        )
        require(
            not self.backbone.endswith(IBN) or max(self.size) > 16,
            f"The maps of {self.backbone}'s third stage have one pixel, which instance normalisation cannot normalise.",
            got=option(size=self.size),
            allowed="more than 16 in one direction",
            fix=f"{option(size=(256, 128))}, or {option(backbone=self.backbone.removesuffix(IBN))}",
        )

    def _check_clip(self) -> None:
        theirs, of_clip = "openai" if self.backbone in CLIP else "imagenet", self.backbone in CLIP
        require(
            self.weights not in ("imagenet", "openai") or self.weights == theirs,
            f"There are no such weights of {self.backbone}.",
            got=option(weights=self.weights),
            allowed=f"{option(weights=theirs)}, random, or a file",
            fix=option(weights=theirs),
        )
        step = 16 if self.backbone == "clip-vit-b16" or self.last_stride == 1 else 32
        require(
            not of_clip or not any(length % step for length in self.size),
            f"The positions of {self.backbone} do not fill the crops.",
            got=option(size=self.size),
            allowed=f"multiples of {step}",
            fix=option(size=(256, 128)),
        )


def check_stride(config: Any, *, prefix: str = "") -> None:
    """Raise `ConfigError` where blocks without a 1x1 convolution shall carry the stride on one.

    Args:
        config: With the fields `backbone` and `stride_in`, or such of a prefix.
        prefix: What the names of the two begin with.
    """
    backbone, stride_in = f"{prefix}backbone", f"{prefix}stride_in"
    network = getattr(config, backbone)
    require(
        getattr(config, stride_in) == "3x3" or network in WITH_1X1,
        f"The blocks of {network} have no 1x1 convolution that could carry the stride.",
        got=option(**{stride_in: "1x1"}),
        allowed=option(**{stride_in: "3x3"}),
        fix=option(**{backbone: "resnet50"}),
    )
