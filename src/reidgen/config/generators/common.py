"""Parts of the configs of everything that learns to make crops, and of everything that writes made ones."""

import math
from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Device, Part, check_between, check_counts, check_positive, check_seed, require
from reidgen.config.training import DevicesConfig
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class LearnedCropsConfig(Part):
    """Which crops a network learns to make, how they are shown to it, and how its weights are kept.

    Attributes:
        size: (height, width) of the crops.
        batch: Crops a step.
        mirror: Whether crops are also shown mirrored. A pair is mirrored alike.
        split: Crops to learn from. Anything but "train" shows test people to the network.
        save_dtype: Number format of the file of weights; "float16" halves it.
    """

    size: tuple[int, int] = (128, 64)
    batch: int = 32
    mirror: bool = True
    split: Literal["train", "all"] = "train"
    save_dtype: Literal["float32", "float16"] = "float32"


@dataclass(frozen=True, kw_only=True)
class GANConfig(LearnedCropsConfig, DevicesConfig):
    """Crops and length of a generator's training.

    Attributes:
        size: (height, width) of the crops; the height is a power of two, 16 to 1024, and the width its half or equal.
        kimg: Length of the training in thousands of real images shown to the discriminator.
        snapshot_kimg: Images (thousands) between two snapshots with a sheet of fakes.
    """

    kimg: float = 400
    snapshot_kimg: float = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "kimg", "snapshot_kimg")
        height, width = self.size
        require(
            16 <= height <= 1024 and height & (height - 1) == 0 and width in (height, height // 2),
            f"{option('size')} does not fit the generator.",
            got=f"{height}x{width}",
            allowed="height a power of two from 16 to 1024, width equal to it or half of it",
            fix=option(size=(128, 64)),
        )


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(Part):
    """Where in a generator's latent space crops are drawn.

    Attributes:
        mix: Layers whose styles come from the donor. By detail: coarse, middle, fine, all. As Alvarez-Gonzalez (thesis,
            table 5.3) groups StyleGAN3's 16: sources-coarse, sources-medium, sources-fine. By index: 3,4,5 or 3-5.
            Unions: coarse+fine. Several are used by turns, the first for the first variant.
        weight: How far the layers of `mix` go towards the donor: 1 takes its styles, less interpolates in w.
        psi: Truncation of w towards the mean, of people and donors; 1 is none.
        device: "auto" computes where the generator was loaded.
        seed: Of the people and donors.
    """

    mix: str | tuple[str, ...] = "middle"
    weight: float = 1.0
    psi: float = 1.0
    device: Device = "auto"
    seed: int = 0

    @property
    def mixes(self) -> tuple[str, ...]:
        """`mix` as the groups that are used by turns."""
        return (self.mix,) if isinstance(self.mix, str) else tuple(self.mix)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            math.isfinite(self.psi),
            f"{option('psi')} must be a number.",
            got=self.psi,
            allowed="0 to 1, or a little above",
        )
        require(len(self.mixes) > 0, f"{option('mix')} names no layers.", got="nothing", allowed="one group or more")
        require(
            0 < self.weight <= 1, f"{option('weight')} is out of range.", got=self.weight, allowed="above 0, up to 1"
        )
        check_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class WrittenCropsConfig(Part):
    """How made crops are computed and written.

    Attributes:
        batch: Crops computed at once; does not change the pixels.
        quality: JPEG quality of the files.
    """

    batch: int = 64
    quality: int = 95

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "batch")
        check_between(self, 1, 100, "quality")
