"""The knobs of training a DCGAN."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_counts, check_positive, require
from reidgen.config.generators.common import GANConfig
from reidgen.config.training import check_shared_batch
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class DCGANConfig(GANConfig):
    """Network and schedule of a DCGAN (Radford et al. 2016), the baseline of Alvarez-Gonzalez. Defaults: the paper's.

    Attributes:
        z_dim: Width of the latent space z.
        width: Channels at half the full resolution; they double with each halving, up to eight times.
        norm_batch: Images that batch normalisation takes together (ghost batches). None: the whole batch. With several
            devices a number is needed, so that theirs does not change the result.
        lr: Adam's learning rate, of both networks.
        beta1: Adam's first decay.
        precision: "bf16" computes the convolutions in bfloat16; float16 would need its losses scaled.
    """

    z_dim: int = 100
    width: int = 64
    batch: int = 128
    norm_batch: int | None = None
    lr: float = 0.0002
    beta1: float = 0.5
    precision: Literal["float32", "bf16"] = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "lr")
        check_counts(self, "z_dim", "width", "norm_batch")
        normalisation = f"{option('batch')} is too small for batch normalisation."
        require(self.batch >= 2, normalisation, got=self.batch, allowed=">= 2", fix=option(batch=128))
        check_shared_batch(self)
        require(0 <= self.beta1 < 1, f"{option('beta1')} is out of range.", got=self.beta1, allowed="0 <= beta1 < 1")
