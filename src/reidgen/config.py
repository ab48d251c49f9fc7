"""Every knob of every stage as a frozen dataclass. Imports no torch: `reidgen --help` reads this file alone."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from reidgen.errors import ConfigError

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bf16", "fp16"]


def as_dict(config: Any) -> dict[str, Any]:
    """A config as plain JSON types: nested dataclasses become dicts, tuples become lists."""
    return {name: _plain(value) for name, value in dataclasses.asdict(config).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def require(condition: bool, what: str, *, got: object, allowed: object, fix: str | None = None) -> None:
    """Raise `ConfigError` in four parts unless the condition holds."""
    if not condition:
        raise ConfigError(what, got=got, allowed=allowed, fix=fix)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_counts(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        require(value is None or value >= 1, f"{_option(name)} must be positive.", got=value, allowed=">= 1")


def _check_not_negative(config: Any, *names: str) -> None:
    for name in names:
        value, what = getattr(config, name), f"{_option(name)} must not be negative."
        require(value is None or 0 <= value < math.inf, what, got=value, allowed=">= 0")


def _check_seed(seed: int) -> None:
    require(seed >= 0, "--seed must not be negative.", got=seed, allowed=">= 0")


def _check_size(name: str, size: tuple[int, int]) -> None:
    height, width = size
    require(
        4 <= height <= 1024 and 4 <= width <= 1024,
        f"{name} is no usable image size.",
        got=f"{height}x{width}",
        allowed="(height, width), each from 4 to 1024",
        fix=f"{name} 128 64",
    )


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """How many people are rendered, by how many cameras, and what is written beside each crop.

    Attributes:
        people: How many people.
        cameras: How many cameras; each has its own place, light, colours and background.
        images_per_camera: Crops of each person in each camera.
        size: Crop size (height, width) in pixels.
        train_people: How many of the people form the train split; the others are query and gallery. None: half of them.
        maps: Which maps are written as PNG beside each crop.
        workers: Processes that render; the result does not depend on it.
    """

    people: int = 60
    cameras: int = 4
    images_per_camera: int = 4
    size: tuple[int, int] = (128, 64)
    train_people: int | None = None
    maps: Literal["none", "mask", "all"] = "all"
    workers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts(self, "people", "cameras", "images_per_camera", "workers")
        _check_seed(self.seed)
        if self.train_people is not None:
            require(
                0 <= self.train_people <= self.people,
                "--train-people is not within the number of people.",
                got=self.train_people,
                allowed=f"0 to {self.people}",
            )
        _check_size("--size", self.size)


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Which dataset is read and what is done with the files that the audit finds bad.

    Attributes:
        dataset: Name of the reader; "reidgen" reads a folder that reidgen wrote.
        variant: CUHK03 only: which boxes.
        pattern: Folder reader only: regular expression over the relative path with named groups pid, camid and
            optionally seq, frame, split.
        bad_files: "keep" only lists unreadable and absurd images, "drop" leaves them out of the written table.
        size: None writes the files as they are; otherwise crops are resized to (height, width).
        expect_counts: "check" compares Market-1501's and the other sets' published counts, "any" accepts a part of
            the set.
    """

    dataset: Literal["market1501", "msmt17", "cuhk03", "folder", "reidgen"] = "market1501"
    variant: Literal["detected", "labeled"] = "detected"
    pattern: str | None = None
    bad_files: Literal["keep", "drop"] = "keep"
    size: tuple[int, int] | None = None
    expect_counts: Literal["check", "any"] = "check"
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            self.pattern is None or self.dataset == "folder",
            "--pattern goes with --dataset folder only.",
            got=f"--dataset {self.dataset}",
            allowed="--dataset folder",
            fix="leave --pattern out, or --dataset folder",
        )
        if self.size is not None:
            _check_size("--size", self.size)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes to a training batch, drawn per sample.

    Attributes:
        flip: Probability of a horizontal flip.
        pad: Pixels of zero padding on each side before a random crop back to size; 0 switches it off.
        erase: Probability of random erasing (Zhong et al. 2020).
        erase_area: Smallest and largest erased share of the area.
        erase_aspect: Smallest and largest height / width of the erased box.
        jitter: Strength of brightness, contrast and saturation jitter: factors in [1 - jitter, 1 + jitter]; 0 is off.
    """

    flip: float = 0.5
    pad: int = 10
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_aspect: tuple[float, float] = (0.3, 3.33)
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "erase"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"--augment.{name} is a probability.", got=value, allowed="0 to 1")
        require(self.pad >= 0, "--augment.pad must not be negative.", got=self.pad, allowed=">= 0")
        low, high = self.erase_area
        require(
            0 < low <= high < 1,
            "--augment.erase-area is no range of shares.",
            got=f"{low} {high}",
            allowed="two numbers between 0 and 1, the smaller first",
            fix="--augment.erase-area 0.02 0.4",
        )
        low, high = self.erase_aspect
        require(
            0 < low <= high,
            "--augment.erase-aspect is no range.",
            got=f"{low} {high}",
            allowed="two positive numbers, the smaller first",
            fix="--augment.erase-aspect 0.3 3.33",
        )
        require(0 <= self.jitter < 1, "--augment.jitter is out of range.", got=self.jitter, allowed="0 <= jitter < 1")


@dataclass(frozen=True, kw_only=True)
class StyleGANConfig:
    """Network, losses and schedule of the StyleGAN2 generator (Karras et al. 2020, CVPR and NeurIPS).

    Attributes:
        size: (height, width) of the crops; the height is a power of two >= 16 and the width its half or equal.
        z_dim: Width of the latent space z.
        w_dim: Width of the latent space w.
        mapping_layers: Layers of the mapping network.
        channel_base: Channels at height h are min(channel_base / h, channel_max), of generator and discriminator.
        channel_max: See channel_base.
        kimg: Length of the training in thousands of real images shown to the discriminator.
        batch: Images a step.
        gamma: R1 weight; None takes 0.0002 * height * width / batch, the auto rule of StyleGAN2-ADA.
        lr_generator: Adam's step size.
        lr_discriminator: Adam's step size.
        r1_interval: Steps between two penalties of the discriminator.
        path_weight: Weight of the path length penalty; 0 switches it off.
        path_interval: Steps between two path length penalties.
        style_mixing: Probability that a training sample mixes two w.
        ema_kimg: Half-life of the weight average; None takes batch * 10 / 32.
        augment: Adaptive augmentation: "person" has no rotation and no hue, "none" switches it off.
        ada_target: Target of the overfitting heuristic r_t.
        ada_kimg: Images (thousands) in which p can go from 0 to 1.
        mirror: Whether the crops are also shown mirrored.
        transfer: Run folder or safetensors file to start from; None starts from random weights.
        freeze_d: Highest-resolution blocks of the discriminator that are kept fixed.
        snapshot_kimg: Images (thousands) between two snapshots with a sheet of fakes.
        split: Whose crops are learned from; anything but "train" shows the generator test people.
        checkpoint_sec: Seconds between two checkpoints for resuming.
        save_dtype: Number format of generator.safetensors; "float16" halves the file.
    """

    size: tuple[int, int] = (128, 64)
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 2
    channel_base: int = 16384
    channel_max: int = 512
    kimg: float = 5000
    batch: int = 32
    gamma: float | None = None
    lr_generator: float = 0.0025
    lr_discriminator: float = 0.002
    r1_interval: int = 16
    path_weight: float = 0.0
    path_interval: int = 4
    style_mixing: float = 0.9
    ema_kimg: float | None = None
    augment: Literal["person", "none"] = "person"
    ada_target: float = 0.6
    ada_kimg: float = 500
    mirror: bool = True
    transfer: str | None = None
    freeze_d: int = 0
    snapshot_kimg: float = 80
    split: Literal["train", "all"] = "train"
    checkpoint_sec: float = 300
    save_dtype: Literal["float32", "float16"] = "float32"
    device: Device = "auto"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        height, width = self.size
        power = height >= 16 and height & (height - 1) == 0
        require(
            power and width in (height, height // 2),
            "--size does not fit the generator.",
            got=f"{height}x{width}",
            allowed="height a power of two >= 16, width equal to it or half of it",
            fix="--size 128 64",
        )
        for name in ("kimg", "snapshot_kimg", "ada_kimg", "lr_generator", "lr_discriminator"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"{_option(name)} must be positive.", got=value, allowed="> 0")
        _check_counts(self, "z_dim", "w_dim", "mapping_layers", "channel_max", "r1_interval", "path_interval")
        _check_not_negative(self, "gamma", "ema_kimg", "path_weight", "freeze_d")
        _check_seed(self.seed)
        require(
            self.channel_base >= height,
            "--channel-base leaves no channel at the full height.",
            got=self.channel_base,
            allowed=f">= {height}, the height",
            fix="--channel-base 16384",
        )
        require(self.batch >= 2, "--batch is too small for the minibatch statistics.", got=self.batch, allowed=">= 2")
        require(
            self.precision != "fp16",
            "--precision fp16 is too narrow for gradients of gradients.",
            got=self.precision,
            allowed="float32, bf16",
            fix="--precision bf16",
        )
        require(
            0 <= self.style_mixing <= 1, "--style-mixing is a probability.", got=self.style_mixing, allowed="0 to 1"
        )

    @property
    def r1_gamma(self) -> float:
        """The R1 weight in force."""
        return 0.0002 * self.size[0] * self.size[1] / self.batch if self.gamma is None else self.gamma


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How many people are generated and how their variants come about.

    Attributes:
        people: New people; each is one random w.
        variants: Crops a person: the person itself and variants - 1 mixes with other random w.
        mix: Group of layers whose styles come from the donor: a name, or layer indices such as "3,4,5,6".
        psi: Truncation of the person's and the donor's w towards the mean; 1 is none.
        batch: Images computed at once; does not change the pixels.
        quality: JPEG quality of the files.
        cameras: Cameras that the crops are spread over by turns, so that camera rules have something to act on.
        device: "auto" computes where the generator was loaded.
    """

    people: int = 280
    variants: int = 51
    mix: str = "middle"
    psi: float = 1.0
    batch: int = 64
    quality: int = 95
    cameras: int = 6
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts(self, "people", "variants", "cameras", "batch")
        require(math.isfinite(self.psi), "--psi is no number.", got=self.psi, allowed="0 to 1, or a little above")
        _check_seed(self.seed)
        require(1 <= self.quality <= 100, "--quality is no JPEG quality.", got=self.quality, allowed="1 to 100")


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Which filters score the crops and from where on a crop is rejected.

    Attributes:
        filters: Names of the filters, in order.
        ssim_threshold: Lowest SSIM to the person's first crop that is kept. None: the 5 % quantile of real crops
            against the first crop of the same person, which needs --reference.
        ssim_range: "255" is SSIM of 8-bit images as published; "4095" reproduces the sources' setting, under which
            their threshold 0.75 has its meaning.
        calibrate: Draw the histogram of the scores on real crops (--reference) and the share that each threshold
            rejects.
    """

    filters: tuple[Literal["ssim"], ...] = ("ssim",)
    ssim_threshold: float | None = None
    ssim_range: Literal["255", "4095"] = "255"
    calibrate: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        lowest = self.ssim_threshold
        require(lowest is None or -1 <= lowest <= 1, "--ssim-threshold is no SSIM.", got=lowest, allowed="-1 to 1")


@dataclass(frozen=True, kw_only=True)
class ExtendConfig:
    """What is added to the real train split.

    Attributes:
        people: The first N generated people, all their kept crops. None: all people.
        crops_per_person: At most M kept crops a person, in table order. None: all crops.
        label: "new" gives every generated person an identity of its own; "same" adds crops to the real person they
            are variants of, which needs generated crops of real people.
    """

    people: int | None = None
    crops_per_person: int | None = None
    label: Literal["new", "same"] = "new"
    seed: int = 0

    def __post_init__(self) -> None:
        _check_not_negative(self, "people", "crops_per_person")


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
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    checkpoint_sec: float = 300
    device: Device = "auto"
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        _check_size("--size", self.size)
        require(self.batch >= 2, "--batch is too small for batch normalisation.", got=self.batch, allowed=">= 2")
        _check_counts(self, "epochs", "steps", "bottleneck")
        require(self.lr > 0, "--lr must be positive.", got=self.lr, allowed="> 0")
        _check_not_negative(self, "backbone_lr", "weight_decay")
        _check_seed(self.seed)
        require(0 <= self.dropout < 1, "--dropout is out of range.", got=self.dropout, allowed="0 <= dropout < 1")
        for name in ("warmup", "decay_at", "label_smoothing"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{_option(name)} is a share.", got=value, allowed="0 to 1")
        require(
            self.stride_in == "3x3" or self.backbone == "resnet50",
            f"The blocks of {self.backbone} have no 1x1 convolution that could carry the stride.",
            got="--stride-in 1x1",
            allowed="--stride-in 3x3",
            fix="--backbone resnet50",
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
        _check_counts(self, "batch")
        _check_not_negative(self, "ranked")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the page is called.

    Attributes:
        title: Heading of the page.
        note: Paragraphs under the heading, with an empty line between two.
        limits: What the run can and cannot show, as paragraphs of a section of its own.
        show_real: "never" leaves out crops of real people, and of generators that learned from them, as the page may be
            published; "allow" puts them on it.
    """

    title: str = "Did generated people help?"
    note: str = ""
    limits: str = ""
    show_real: Literal["never", "allow"] = "never"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class QuickstartConfig:
    """How long the whole chain on the shipped rendered people takes.

    Attributes:
        generator_kimg: Fine-tuning of the shipped generator in thousands of images.
        people: Generated people.
        variants: Crops of each.
        steps: Optimisation steps of each re-ID training, the same with and without generated people.
        seeds: Re-ID trainings with and without generated people.
    """

    generator_kimg: float = 8
    people: int = 60
    variants: int = 8
    steps: int = 120
    seeds: int = 3
    device: Device = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        _check_counts(self, "people", "variants", "steps", "seeds")
        kimg = self.generator_kimg
        require(0 < kimg < math.inf, "--generator-kimg must be positive.", got=kimg, allowed="> 0")
        _check_seed(self.seed)
