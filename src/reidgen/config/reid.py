"""The knobs of everything that comes after generation: filtering, extending, re-ID training, evaluation."""

from dataclasses import dataclass, field
from typing import Literal

from reidgen.config.base import (
    Device,
    Precision,
    check_counts,
    check_not_negative,
    check_seed,
    check_size,
    option,
    require,
)
from reidgen.config.data import AugmentConfig

GeneratedLabel = Literal["table", "new", "same", "lsr", "lsro", "mprl", "slsr", "extra", "pseudo", "none"]


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Which filters score the crops and from where on a crop is rejected.

    Attributes:
        filters: Names of the filters, in order: detector (is there a person?), ssim (does the crop resemble the
            person's first one?), identity (is it the person it claims to be?), realism (does it lie where real crops
            lie?), diversity (is it nearly an earlier crop of the person?), copies (is it a copy of a real crop?).
        detector: "yolov4-tiny" downloads the sources' detector; or a Darknet .weights or YOLO-style .onnx file, or
            "hog", OpenCV's people detector (extra: detect for the last two).
        detector_threshold: Score above which a person counts as found. None: 0.6, the sources' choice; 0 for hog.
        detector_cfg: Darknet's .cfg file, or "yolov4-tiny". None: the one of the weights' name.
        detector_score: "product" of objectness and class probability, as OpenCV has it, or of the "class" alone.
        detector_person: Number of the class person. None: 0, or by its name where the file has names.
        detector_batch: Crops that the detector sees at once.
        ssim_threshold: Lowest SSIM to the person's first crop that is kept. None: the 5 % quantile of real crops
            against the first crop of the same person, which needs --reference.
        ssim_range: "255" is SSIM of 8-bit images as published; "4095" reproduces the sources' setting, under which
            their threshold 0.75 has its meaning.
        reid: Run folder of train-reid: the network of identity, and the features of realism, diversity and copies. It
            must not have learned from the crops that it judges.
        features: Other features for realism, diversity and copies: "inception" with the weights of the extra `fid`,
            "inception:FILE", or "reid:RUNFOLDER".
        feature_batch: Crops that a feature network sees at once.
        identity_threshold: Lowest difference of cosines (own person less anybody else) that is kept. None: the 5 %
            quantile of real crops; so too for the thresholds below.
        identity_people: "real": crops claim to be the reference's people of their pids; "new": people are those of the
            table; "auto": by the crops' parents.
        identity_cameras: "other" compares with the person's crops by other cameras alone; "all" with all.
        realism_threshold: Lowest ratio of a real crop's radius to the distance that is kept; 1 is precision.
        realism_neighbours: How many neighbours a radius reaches to.
        realism_among: "people" counts other people as neighbours, "crops" counts crops, as published.
        realism_balls: "all" keeps all balls, "half" leaves out the half with the largest radii.
        diversity_threshold: Lowest distance to an earlier crop of the person that is kept.
        copies_threshold: Lowest distance to a real crop, over that one's to the next, that is kept.
        calibrate: Draw the histogram of the scores on real crops (--reference) and the share that each threshold
            rejects.
    """

    filters: tuple[Literal["detector", "ssim", "identity", "realism", "diversity", "copies"], ...] = ("ssim",)
    detector: str = "yolov4-tiny"
    detector_threshold: float | None = None
    detector_cfg: str | None = None
    detector_score: Literal["product", "class"] = "product"
    detector_person: int | None = None
    detector_batch: int = 16
    ssim_threshold: float | None = None
    ssim_range: Literal["255", "4095"] = "255"
    reid: str | None = None
    features: str | None = None
    feature_batch: int = 64
    identity_threshold: float | None = None
    identity_people: Literal["auto", "real", "new"] = "auto"
    identity_cameras: Literal["other", "all"] = "other"
    realism_threshold: float | None = None
    realism_neighbours: int = 3
    realism_among: Literal["people", "crops"] = "people"
    realism_balls: Literal["half", "all"] = "all"
    diversity_threshold: float | None = None
    copies_threshold: float | None = None
    calibrate: bool = False
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "detector_batch", "feature_batch", "realism_neighbours")
        check_not_negative(self, "detector_person")
        for name in ("realism_threshold", "diversity_threshold", "copies_threshold"):
            if getattr(self, name) is not None:
                check_not_negative(self, name)
        cut = self.detector_threshold
        require(
            cut is None or self.detector == "hog" or 0 <= cut < 1,
            "--detector-threshold is no probability.",
            got=cut,
            allowed="0 to 1",
        )
        margin = self.identity_threshold
        require(
            margin is None or -2 <= margin <= 2,
            "--identity-threshold is no difference of cosines.",
            got=margin,
            allowed="-2 to 2",
        )
        self._check_network()
        lowest = self.ssim_threshold
        require(lowest is None or -1 <= lowest <= 1, "--ssim-threshold is no SSIM.", got=lowest, allowed="-1 to 1")

    def _check_network(self) -> None:
        lacking = "identity" in self.filters and self.reid is None
        network = self.reid is None and self.features is None
        needed = [name for name in self.filters if name in ("realism", "diversity", "copies")]
        require(
            not lacking and not (needed and network),
            f"The {'identity' if lacking else needed[0] if needed else ''} filter needs a network.",
            got="no --reid" if lacking else "neither --reid nor --features",
            allowed="the --out of reidgen train-reid",
            fix="--reid runs/reid" if lacking else "--reid runs/reid, or --features inception",
        )


@dataclass(frozen=True, kw_only=True)
class ExtendConfig:
    """What is added to the real train split.

    Attributes:
        people: The first N generated people, all their kept crops. None: all people.
        crops_per_person: At most M kept crops a person, in table order. None: all crops.
        label: "new" gives every generated person an identity of its own; "same" adds crops to the real person they
            are variants of, which needs generated crops of real people; those that count as another person (column
            `identity`, from generate variants) are left out. A training may ignore these identities: see
            --generated-label of train-reid, for whose policies without identity "new" is the table.
        unjudged: What label "same" does with crops that no identity filter has judged (no `score_identity`): "refuse" is
            an error that says what to run, "allow" adds them.
    """

    people: int | None = None
    crops_per_person: int | None = None
    label: Literal["new", "same"] = "new"
    unjudged: Literal["refuse", "allow"] = "refuse"
    seed: int = 0

    def __post_init__(self) -> None:
        check_not_negative(self, "people", "crops_per_person")


@dataclass(frozen=True, kw_only=True)
class ReidConfig:
    """A supervised re-ID training; the defaults are recipe "ide".

    Attributes:
        recipe: "ide" is the sources' baseline: ResNet-50, 256x128, 512-d bottleneck, cross entropy.
        backbone: Network.
        weights: "imagenet" downloads torchvision's file, a path reads a safetensors file, "random" trains from scratch.
        size: (height, width) the crops are resized to.
        bottleneck: Width of the embedding.
        last_stride: Stride of the last stage.
        epochs: Length in epochs of the table. Ignored when steps is given.
        steps: Length in optimisation steps; hold it fixed when tables of different sizes are compared.
        batch: Crops a step.
        lr: Step size of the head; the backbone learns at backbone_lr times it. 0.05 is for batch 32; with batch 16 it
            makes the loss rise at first, 0.025 does not.
        backbone_lr: Factor of the backbone's step size.
        decay_at: Share of the training after which the step size is divided by ten.
        warmup: Share of the training in which the step size grows from a tenth.
        dropout: Dropout before the classifier.
        label_smoothing: Epsilon of Szegedy et al. 2016; 0 is plain cross entropy.
        validation: "first" keeps the first crop of each person out of training for the validation curves, "none"
            trains on all.
        generated_label: What the classifier is told of generated crops. With an identity: "table" what their pids say;
            "new" and "same" too, but the pids must be those of extend's label of that name; "lsr" smooths it. Without,
            whatever their pids: "lsro" every real person alike; "mprl" real people by the rank of their scores; "slsr"
            the real people of the crop's group; "extra" one more class for all of them; "pseudo" the real person with
            the highest score; "none" nothing.
        generated_weight: Weight of a generated crop's loss; a real one's is 1.
        generated_from: Share of the training before which generated crops have weight 0, so that labels that come from
            the network ("mprl", "pseudo") come from one that has learned something.
        generated_ratio: Real and generated crops in each batch, as parts, such as 3 1; an epoch is then once through
            the real crops. None: crops are drawn alike, an epoch is once through all.
        generated_smoothing: Epsilon of "lsr".
        generated_features: Run folder of train-reid, trained on real crops, by whose features "slsr" groups.
        generated_groups: Groups of "slsr".
        checkpoint_sec: Seconds between two checkpoints for resuming.
    """

    recipe: Literal["ide"] = "ide"
    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet50"
    weights: str = "imagenet"
    size: tuple[int, int] = (256, 128)
    bottleneck: int = 512
    last_stride: Literal[1, 2] = 2
    stride_in: Literal["3x3", "1x1"] = "3x3"
    epochs: int = 60
    steps: int | None = None
    batch: int = 32
    lr: float = 0.05
    backbone_lr: float = 0.1
    weight_decay: float = 5e-4
    decay_at: float = 2 / 3
    warmup: float = 0.0
    dropout: float = 0.5
    label_smoothing: float = 0.0
    validation: Literal["first", "none"] = "first"
    generated_label: GeneratedLabel = "table"
    generated_weight: float = 1.0
    generated_from: float = 0.0
    generated_ratio: tuple[int, int] | None = None
    generated_smoothing: float = 0.1
    generated_features: str | None = None
    generated_groups: int = 3
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    checkpoint_sec: float = 300
    device: Device = "auto"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_size("--size", self.size)
        require(self.batch >= 2, "--batch is too small for batch normalisation.", got=self.batch, allowed=">= 2")
        check_counts(self, "epochs", "steps", "bottleneck")
        require(self.lr > 0, "--lr must be positive.", got=self.lr, allowed="> 0")
        check_not_negative(self, "backbone_lr", "weight_decay", "generated_weight")
        check_seed(self.seed)
        require(0 <= self.dropout < 1, "--dropout is out of range.", got=self.dropout, allowed="0 <= dropout < 1")
        for name in ("warmup", "decay_at", "label_smoothing", "generated_from", "generated_smoothing"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{option(name)} is a share.", got=value, allowed="0 to 1")
        self._check_generated()
        require(
            self.stride_in == "3x3" or self.backbone == "resnet50",
            f"The blocks of {self.backbone} have no 1x1 convolution that could carry the stride.",
            got="--stride-in 1x1",
            allowed="--stride-in 3x3",
            fix="--backbone resnet50",
        )

    def _check_generated(self) -> None:
        check_counts(self, "generated_groups")
        grouped, features = self.generated_label == "slsr", self.generated_features
        require(
            grouped == (features is not None),
            '--generated-label "slsr" and --generated-features go together.',
            got=f"{self.generated_label} {f'with {features}' if features else 'without features'}",
            allowed='"slsr" with the run folder of a train-reid, or another label without',
            fix="--generated-label slsr --generated-features runs/reid-real",
        )
        if self.generated_ratio is not None:
            parts = self.generated_ratio
            text = " ".join(map(str, parts))
            require(min(parts) >= 1, "--generated-ratio needs both kinds.", got=text, allowed="two numbers >= 1")
            require(
                self.batch % sum(parts) == 0,
                "--batch cannot be parted by --generated-ratio.",
                got=f"--batch {self.batch}, ratio {text}",
                allowed=f"a batch that is a multiple of {sum(parts)}",
                fix=f"--batch {max(1, round(self.batch / sum(parts))) * sum(parts)}",
            )


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The protocol of an evaluation; the result carries it.

    Attributes:
        metric: Distance between embeddings.
        flip: "sum" adds the embedding of the mirrored crop, "none" does not.
        protocol: "market" removes gallery crops of the query's person and camera (also CUHK03's new protocol and
            MSMT17); "all" removes none.
        batch: Crops embedded at once.
        ranked: Queries whose ranked list is kept for the report.
    """

    metric: Literal["cosine", "euclid"] = "cosine"
    flip: Literal["sum", "none"] = "sum"
    protocol: Literal["market", "all"] = "market"
    batch: int = 64
    ranked: int = 20
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "batch")
        check_not_negative(self, "ranked")
