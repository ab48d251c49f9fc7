"""The knobs of training an encoder."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_counts, check_not_negative, check_positive, check_shares, require
from reidgen.config.generators.likeness import LikenessConfig
from reidgen.config.reid.backbone import StrideIn, check_stride
from reidgen.config.training import DevicesConfig, check_shared_batch
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(LikenessConfig, DevicesConfig):
    """Network, loss and length of an encoder's training (pSp: Richardson et al. 2021; ReStyle: Alaluf et al. 2021).

    Attributes:
        backbone: Convolutional part; its input is the crop and its present reconstruction.
        weights: What the backbone starts from: "imagenet" downloads torchvision's file, a path reads a safetensors
            file, "random" trains from scratch.
        stride_in: Stride layout of that file, as in train-reid.
        width: Channels of the heads, of which there is one a w.
        passes: Refinements of each crop; each has its loss.
        steps: Length in optimisation steps.
        batch: Crops a step.
        norm_batch: Crops that batch normalisation takes together (ghost batches). None: the whole batch. With several
            devices a number is needed, so that theirs does not change the result.
        lr: Learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        flip: Probability that a crop is mirrored.
        split: What is learned from: the "train" split alone, or "all".
        test_share: Share of the people, those with the largest numbers, that are kept out for the test curve.
        test_crops: At most so many of their crops are in the test curve.
        log_steps: Steps between two log records.
        test_steps: Steps between two tests.
        snapshot_steps: Steps between two snapshots.
        precision: "bf16" trains in bfloat16: the encoder, the networks of the loss, and the generator's four highest
            resolutions. Weights and tests stay in float32. float16 would need scaled losses.
    """

    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet34"
    weights: str = "imagenet"
    stride_in: StrideIn = "3x3"
    width: int = 512
    passes: int = 3
    steps: int = 100_000
    batch: int = 8
    norm_batch: int | None = None
    lr: float = 1e-4
    weight_decay: float = 0.0
    flip: float = 0.5
    split: Literal["train", "all"] = "train"
    test_share: float = 0.1
    test_crops: int = 256
    log_steps: int = 50
    test_steps: int = 1000
    snapshot_steps: int = 10_000
    precision: Literal["float32", "bf16"] = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stride(self)
        check_counts(
            self, "norm_batch", "width", "passes", "steps", "test_crops", "log_steps", "test_steps", "snapshot_steps"
        )
        require(
            self.batch >= 2, f"{option('batch')} is too small for batch normalisation.", got=self.batch, allowed=">= 2"
        )
        check_shared_batch(self)
        check_positive(self, "lr")
        check_not_negative(self, "weight_decay")
        check_shares(self, "flip")
        require(
            0 < self.test_share < 1,
            f"{option('test_share')} must be a share.",
            got=self.test_share,
            allowed="above 0, below 1",
        )
