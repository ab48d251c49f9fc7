"""The knobs of training style generators."""

import math
from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_counts, check_not_negative, check_positive, check_shares, require
from reidgen.config.generators.common import GANConfig
from reidgen.errors import option

Network = Literal["stylegan2", "stylegan3-t", "stylegan3-r"]


@dataclass(frozen=True, kw_only=True)
class StyleGANConfig(GANConfig):
    """Network, losses and schedule of a style generator.

    StyleGAN2 and 3: Karras et al. 2020 (CVPR) and 2021; adaptive augmentation: Karras et al. 2020 (NeurIPS).

    Attributes:
        network: Generator: "stylegan2", or StyleGAN3 in its configurations T (translation) and R (and rotation).
        z_dim: Width of the latent space z.
        w_dim: Width of the latent space w.
        mapping_layers: Layers of the mapping network.
        layers: Layers of StyleGAN3's synthesis network, besides the one that writes colours; 14 as published.
        channel_base: Channels at height h are min(channel_base / h, channel_max), of generator and discriminator;
            the generator of configuration R has twice as many.
        channel_max: See channel_base.
        accumulate: Parts that a batch is computed in, one after the other. It takes the memory of one part and gives
            the gradient of the batch; only the discriminator's minibatch statistic is of a part. Several devices share
            the parts, so their number must divide it. It may change when a run is taken up again.
        loss: "logistic" is the non-saturating loss with R1; "relativistic" compares each fake with a real crop and
            adds R2, the same penalty on the fakes (Huang et al. 2024, R3GAN).
        gamma: Weight of R1 (and R2). None, logistic loss: 0.0002 * height * width / batch, the auto rule of
            StyleGAN2-ADA. None, relativistic loss: 0.6 * (height * width / 64^2)^1.5, within the ranges of Huang et al.
            2024: 2 to 0.2 at 64x64, 150 to 15 at 256x256.
        lr_generator: Adam's learning rate.
        lr_discriminator: Adam's learning rate.
        r1_interval: Steps between two penalties of the discriminator; None: 16 with the logistic loss, 1 with the
            relativistic one, as published.
        path_weight: Weight of the path length penalty; 0 switches it off. StyleGAN2 only.
        path_interval: Steps between two path length penalties.
        style_mixing: Probability that a training sample mixes two w.
        ema_kimg: Half-life of the weight average; None takes batch * 10 / 32.
        blur_kimg: Images (thousands) over which the blur of what the discriminator sees fades from 10 pixels to none.
            None: batch * 200 / 32 for StyleGAN3-R from random weights, else 0.
        augment: Adaptive augmentation: "person" has no rotation and no hue, "bgc" is the published pipe with both,
            "none" switches it off.
        ada_target: Target of the overfitting heuristic r_t, the mean sign of D(real). With the relativistic loss it is
            the sign of D(real) - D(fake), since one logit alone means nothing there.
        ada_kimg: Images (thousands) in which p can go from 0 to 1. None: 500 from random weights, 100 after a transfer,
            as the reference has it.
        transfer: Run folder or safetensors file to start from; None starts from random weights.
        freeze_d: Highest-resolution blocks of the discriminator that are kept fixed.
        precision: "bf16" and "fp16" compute the four highest resolutions in half precision, "fp16" clamped to +-256.
    """

    network: Network = "stylegan2"
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 2
    layers: int = 14
    channel_base: int = 16384
    channel_max: int = 512
    kimg: float = 5000
    accumulate: int = 1
    loss: Literal["logistic", "relativistic"] = "logistic"
    gamma: float | None = None
    lr_generator: float = 0.0025
    lr_discriminator: float = 0.002
    r1_interval: int | None = None
    path_weight: float = 0.0
    path_interval: int = 4
    style_mixing: float = 0.9
    ema_kimg: float | None = None
    blur_kimg: float | None = None
    augment: Literal["person", "bgc", "none"] = "person"
    ada_target: float = 0.6
    ada_kimg: float | None = None
    transfer: str | None = None
    freeze_d: int = 0
    snapshot_kimg: float = 80

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "lr_generator", "lr_discriminator", *(["ada_kimg"] if self.ada_kimg is not None else []))
        check_counts(self, "z_dim", "w_dim", "mapping_layers", "channel_max", "r1_interval", "path_interval")
        check_not_negative(self, "gamma", "ema_kimg", "blur_kimg", "path_weight", "freeze_d")
        require(
            self.channel_base >= self.size[0],
            f"{option('channel_base')} leaves no channel at the full height.",
            got=self.channel_base,
            allowed=f">= {self.size[0]}, the height",
            fix=option(channel_base=16384),
        )
        statistics = f"{option('batch')} is too small for the minibatch statistics."
        require(self.batch >= 2, statistics, got=self.batch, allowed=">= 2", fix=option(batch=16))
        require(
            self.accumulate >= 1 and self.batch % self.accumulate == 0 and self.batch // self.accumulate >= 2,
            f"{option('accumulate')} does not divide the batch into parts of two or more.",
            got=f"{option(batch=self.batch)} {option(accumulate=self.accumulate)}",
            allowed="a divisor of the batch that leaves two images a part",
            fix=option(accumulate=self._parts()),
        )
        require(
            self.accumulate % self.processes == 0,
            "The devices cannot share the parts of a batch evenly.",
            got=f"{option(accumulate=self.accumulate)} {option(devices=self.devices)} {option(nodes=self.nodes)}",
            allowed="as many parts as devices, or a multiple",
            fix=option(accumulate=math.lcm(self.accumulate, self.processes)),
        )
        require(
            self.layers == 14 if self.network == "stylegan2" else self.layers > 2,
            f"{option('layers')} does not fit {self.network}.",
            got=self.layers,
            allowed="14: the size alone determines the layers of stylegan2" if self.network == "stylegan2" else "> 2",
            fix=option(layers=14),
        )
        require(
            self.network == "stylegan2" or self.path_weight == 0,
            f"{option('path_weight')} is a penalty of other networks than {self.network}.",
            got=self.path_weight,
            allowed="0",
        )
        check_shares(self, "style_mixing")

    def _parts(self) -> int:
        """The largest number of parts up to `accumulate` that the batch can be computed in."""
        parts = range(1, min(self.accumulate, self.batch // 2) + 1)
        return max((count for count in parts if self.batch % count == 0), default=1)

    @property
    def r1_gamma(self) -> float:
        """The weight of R1 (and R2) in force."""
        if self.gamma is not None:
            return self.gamma
        pixels = self.size[0] * self.size[1]
        return 0.0002 * pixels / self.batch if self.loss == "logistic" else 0.6 * (pixels / 64**2) ** 1.5

    @property
    def gamma_rule(self) -> str:
        """Where the weight comes from if none is asked for."""
        return "0.0002 * height * width / batch" if self.loss == "logistic" else "0.6 * (height * width / 64^2)^1.5"

    @property
    def penalty_interval(self) -> int:
        """Steps between two penalties of the discriminator, in force."""
        default = 16 if self.loss == "logistic" else 1
        return default if self.r1_interval is None else self.r1_interval

    @property
    def ramp_kimg(self) -> float:
        """Images (thousands) in which the augmentation's p can go from 0 to 1, in force."""
        default = 500.0 if self.transfer is None else 100.0
        return default if self.ada_kimg is None else self.ada_kimg

    @property
    def fade_kimg(self) -> float:
        """Length of the blur's fade, in force."""
        fades = self.network == "stylegan3-r" and self.transfer is None
        default = self.batch * 200 / 32 if fades else 0.0
        return default if self.blur_kimg is None else self.blur_kimg
