"""The knobs of rotators: networks that show people from other sides, or in the structure of other crops."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import (
    Device,
    check_counts,
    check_not_negative,
    check_positive,
    check_seed,
    check_shares,
    check_size,
    require,
)
from reidgen.config.generators.common import LearnedCropsConfig, WrittenCropsConfig
from reidgen.config.reid.backbone import RESNETS, BackboneConfig
from reidgen.config.training import DevicesConfig, check_shared_batch
from reidgen.errors import option

Structure = Literal["mesh", "grey", "pose"]
ANGLES = (90, 135, 180, 270)
WEIGHTS = ("reconstruction", "cycle", "code", "contrast")


@dataclass(frozen=True, kw_only=True)
class RotatorConfig(LearnedCropsConfig, DevicesConfig, BackboneConfig):
    """Structure, networks, losses and schedule of a rotator.

    Attributes:
        structure: What says how the person stands. "mesh": the grey picture of its body (annotate, `what` body and
            mesh), as in GCL. "grey": a crop without its colours, as in DG-Net. "pose": maps of key points.
        labels: "people" uses the pids; "none" treats each crop as a person of its own.
        angles: With meshes, the degrees by which people are turned in training.
        size: (height, width) of the crops; both are multiples of 4.
        backbone: Network of the identity encoder; one of the ResNets.
        weights: What the identity encoder starts from: "imagenet", "random", or the folder of a train-reid or
            train-unsupervised.
        last_stride: Stride of the identity encoder's last stage.
        steps: Length of the training in steps.
        width: Channels of structure encoder, decoder and discriminators at full resolution.
        code: Length of the code of each of the four parts of a person, from the head to the feet.
        scales: Resolutions at which the discriminator looks.
        norm_batch: Crops whose statistics batch normalisation in the identity encoder takes together (ghost batches).
            None: the whole batch. Several devices need a number, so that theirs does not change the result.
        lr: Learning rate of Adam, for all networks.
        identity_lr: Learning rate of the identity encoder's backbone, as a share of `lr`; 0 freezes it.
        beta1: Adam's beta1.
        decay: Share of the steps, at the end, over which the learning rate falls to 0.
        gan_weight: Weight of the adversarial loss on turned people.
        reconstruction_weight: Weight of the reconstruction loss: a crop made again from itself, and with labels also
            from another crop of the person.
        cycle_weight: Weight of the cycle loss: a crop that is turned and turned back stays as it was.
        code_weight: Weight of the code loss: a turned person keeps its codes.
        contrast_weight: Weight of the contrastive loss: crops, turned or not, are nearer to their own person in a
            memory than to others.
        temperature: Temperature of the contrastive loss.
        momentum: Momentum of the memory: the share of a person's vector that stays when the person is seen.
        snapshot_steps: Steps between two sheets.
        precision: "bf16" computes the convolutions in bfloat16.
    """

    structure: Structure = "mesh"
    labels: Literal["people", "none"] = "people"
    angles: tuple[int, ...] = ANGLES
    size: tuple[int, int] = (128, 64)
    batch: int = 16
    steps: int = 50_000
    width: int = 32
    code: int = 128
    scales: int = 3
    norm_batch: int | None = None
    lr: float = 1e-4
    identity_lr: float = 0.1
    beta1: float = 0.0
    decay: float = 0.2
    gan_weight: float = 1.0
    reconstruction_weight: float = 5.0
    cycle_weight: float = 2.0
    code_weight: float = 1.0
    contrast_weight: float = 0.5
    temperature: float = 0.05
    momentum: float = 0.2
    snapshot_steps: int = 2000
    precision: Literal["float32", "bf16"] = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("size", self.size)
        height, width = self.size
        require(
            min(self.size) >= 16 and height % 4 == 0 and width % 4 == 0,
            f"{option('size')} cannot be halved twice.",
            got=f"{height}x{width}",
            allowed="sides of 16 or more that are multiples of 4",
            fix=option(size=(128, 64)),
        )
        require(
            not self.of_timm,
            "The identity encoder is one of the ResNets.",
            got=option(backbone=self.backbone),
            allowed=", ".join(RESNETS),
            fix=option(backbone="resnet50"),
        )
        check_angles(self)
        check_counts(self, "steps", "batch", "width", "code", "scales", "snapshot_steps", "norm_batch")
        check_shared_batch(self)
        check_positive(self, "lr", "gan_weight", "temperature")
        check_not_negative(self, "identity_lr", *(f"{name}_weight" for name in WEIGHTS))
        require(0 <= self.beta1 < 1, f"{option('beta1')} is out of range.", got=self.beta1, allowed="0 <= beta1 < 1")
        check_shares(self, "decay", "momentum")


@dataclass(frozen=True, kw_only=True)
class RotateConfig(WrittenCropsConfig):
    """Which people are turned, and by how much.

    Attributes:
        angles: Degrees by which each person is turned. With meshes they are among those that annotate drew (`angles`).
            With grey crops and key points, another crop with about the wanted heading says how the person stands.
            0 shows the person as its own crop does.
        nearest: With grey crops and key points: that other crop is drawn from so many with the nearest headings.
        split: Crops that are turned; "all" puts test people into the train split.
        device: "auto" leaves the rotator where it was loaded; on the command line that is CUDA where there is one.
    """

    angles: tuple[int, ...] = ANGLES
    nearest: int = 5
    split: Literal["train", "all"] = "train"
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_angles(self)
        check_counts(self, "nearest")
        check_seed(self.seed)


def check_angles(config: RotatorConfig | RotateConfig) -> None:
    """Raise `ConfigError` unless the angles are whole degrees, each once; a training has those that turn."""
    angles, least = config.angles, 0 if isinstance(config, RotateConfig) else 1
    require(
        bool(angles) and len(set(angles)) == len(angles) and all(least <= angle < 360 for angle in angles),
        f"{option('angles')} names whole degrees, each once.",
        got=" ".join(map(str, angles)) or "none",
        allowed=f"{least} to 359",
        fix=option(angles=ANGLES),
    )
