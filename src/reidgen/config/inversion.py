"""The knobs of real people in a generator's latent space: encoder, inversion, variants."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Device, check_counts, check_not_negative, check_positive, check_seed, require
from reidgen.config.devices import DevicesConfig, check_shared_batch
from reidgen.config.sampling import Mixing, check_sampling
from reidgen.errors import option

Invert = Literal["encoder", "optimise", "pivotal", "given"]


@dataclass(frozen=True, kw_only=True)
class LikenessConfig:
    """How it is measured that an image is like its original: what is weighted 0 is not part of the loss.

    Attributes:
        l2_weight: Weight of the mean squared difference of pixels from -1 to 1.
        perceptual_weight: Weight of the perceptual distance.
        reid_weight: Weight of 1 - cosine of re-ID embeddings; above 0 it needs --reid.
        moco_weight: Weight of 1 - cosine of MoCo's features (He et al. 2020); above 0 it needs --moco-weights.
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
    perceptual_stride_in: Literal["3x3", "1x1"] = "3x3"

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weight of each distance."""
        weights = {"l2": self.l2_weight, "perceptual": self.perceptual_weight, "reid": self.reid_weight}
        return weights | {"moco": self.moco_weight}

    def __post_init__(self) -> None:
        check_not_negative(self, "l2_weight", "perceptual_weight", "reid_weight", "moco_weight")
        require(
            any(self.loss_weights.values()),
            "All weights of the loss are 0.",
            got=f"{option(l2_weight=0)} {option(perceptual_weight=0)} {option(reid_weight=0)} {option(moco_weight=0)}",
            allowed="at least one above 0",
            fix=option(l2_weight=1),
        )
        _check_stride(self, "perceptual_backbone", "perceptual_stride_in")
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
        norm_batch: Crops that batch normalisation takes together (ghost batches). None: the whole batch; it has to be
            given with several devices, so that their number does not change the result.
        lr: Step size of AdamW.
        weight_decay: Weight decay of AdamW.
        flip: Probability that a crop is mirrored.
        split: What is learned from: the "train" split alone, or "all".
        test_share: Share of the people, those with the largest numbers, that are kept out for the test curve.
        test_crops: At most so many of their crops are in the test curve.
        log_steps: Steps between two log records.
        test_steps: Steps between two tests.
        snapshot_steps: Steps between two snapshots.
        checkpoint_sec: Seconds between two checkpoints for resuming.
        precision: "bf16" computes the encoder, the networks of the loss and the generator's four highest resolutions in
            bfloat16 while training, weights and tests stay in float32; float16 would need its losses scaled.
    """

    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet34"
    weights: str = "imagenet"
    stride_in: Literal["3x3", "1x1"] = "3x3"
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
    checkpoint_sec: float = 300
    precision: Literal["float32", "bf16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        DevicesConfig.__post_init__(self)
        _check_stride(self, "backbone", "stride_in")
        check_counts(
            self, "norm_batch", "width", "passes", "steps", "test_crops", "log_steps", "test_steps", "snapshot_steps"
        )
        require(
            self.batch >= 2, f"{option('batch')} is too small for batch normalisation.", got=self.batch, allowed=">= 2"
        )
        check_shared_batch(self)
        check_positive(self, "lr")
        check_not_negative(self, "weight_decay", "checkpoint_sec")
        check_seed(self.seed)
        require(0 <= self.flip <= 1, f"{option('flip')} is a probability.", got=self.flip, allowed="0 to 1")
        require(
            0 < self.test_share < 1,
            f"{option('test_share')} must be a share.",
            got=self.test_share,
            allowed="above 0, below 1",
        )


@dataclass(frozen=True, kw_only=True)
class SearchConfig(LikenessConfig):
    """Inversion by optimisation and pivotal tuning.

    Attributes:
        search_steps: Steps of the optimisation in w+ (Karras et al. 2020, CVPR, appendix D).
        search_lr: Its largest step size.
        noise_weight: Weight of the penalty on noise maps that are optimised too (ways with +noise).
        tune_steps: Steps of pivotal tuning (Roich et al. 2021).
        tune_lr: Its step size.
        tune_stop: Perceptual distance at which the tuning of a person ends early; None: never.
        tune_for: A generator for each "person" around all its crops, or one for "all", which takes the room of one file
            and needs more steps.
    """

    search_steps: int = 1000
    search_lr: float = 0.1
    noise_weight: float = 1e5
    tune_steps: int = 350
    tune_lr: float = 3e-4
    tune_stop: float | None = None
    tune_for: Literal["person", "all"] = "person"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "search_steps", "tune_steps")
        for name in ("search_lr", "tune_lr"):
            value = getattr(self, name)
            require(value > 0, f"{option(name)} must be positive.", got=value, allowed="> 0")
        check_not_negative(self, "tune_stop", "noise_weight")


@dataclass(frozen=True, kw_only=True)
class InversionConfig(SearchConfig):
    """Ways of inverting the same crops, side by side.

    Attributes:
        methods: "average" (the mean of w, what all start from), "encoder:N" (N passes), "optimise" (from the average),
            "encoder+optimise" (from the encoder's w+), the last two with "+noise" (StyleGAN2's noise maps are optimised
            as well), and any of these with "+pivotal": the generator tuned around that w+.
        people: "held-out" are the people that the encoder has not learned from; or a split.
        crops: How many crops, one a person in turn.
        batch: Crops inverted at once, and at most so many in a step of pivotal tuning.
        tuned: "keep" leaves the tuned generators in tuned/, whole files that `load_generator` opens and that generate
            variants --inverted takes; "drop" removes those of a way when it is measured.
    """

    methods: tuple[str, ...] = ("average", "encoder:1", "encoder:3", "encoder:5", "optimise", "optimise+pivotal")
    people: Literal["held-out", "train", "query"] = "held-out"
    crops: int = 16
    batch: int = 16
    tuned: Literal["keep", "drop"] = "keep"
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "crops", "batch")
        check_seed(self.seed)
        require(
            len(self.methods) > 0, f"{option('methods')} must name one or more.", got="nothing", allowed="one or more"
        )
        wrong = [method for method in self.methods if not is_method(method)]
        require(
            not wrong,
            f"{option('methods')} names a way that there is not.",
            got=", ".join(wrong),
            allowed="average, encoder, encoder:N, optimise, encoder+optimise, the last two also with +noise, any of "
            "these with +pivotal",
            fix=option(methods=("encoder:3", "optimise", "optimise+pivotal")),
        )
        require(
            len(set(self.methods)) == len(self.methods),
            f"{option('methods')} names one twice.",
            got=", ".join(self.methods),
            allowed="each once",
        )


def _check_stride(config: LikenessConfig, backbone: str, stride_in: str) -> None:
    network = getattr(config, backbone)
    require(
        getattr(config, stride_in) == "3x3" or network == "resnet50",
        f"The blocks of {network} have no 1x1 convolution that could carry the stride.",
        got=f"{option(stride_in)} 1x1",
        allowed=f"{option(stride_in)} 3x3",
        fix=f"{option(backbone)} resnet50",
    )


def is_method(text: str) -> bool:
    """Whether a text names a way of inverting."""
    start = text.removesuffix("+pivotal")
    name, colon, passes = start.partition(":")
    if name == "encoder" and colon:
        return passes.isdecimal() and int(passes) >= 1
    searches = ("optimise", "encoder+optimise")
    return start in ("average", "encoder", *searches, *(f"{search}+noise" for search in searches))


@dataclass(frozen=True, kw_only=True)
class VariantsConfig(SearchConfig, Mixing):
    """Variants of real people.

    Attributes:
        invert: How a crop's w+ is found: by the "encoder"; by "optimise", from the encoder's w+ if there is one and
            else from the average; "pivotal" as well tunes the generator around these w+, see `tune_for`; "given" takes
            w+ and tuned generators of an earlier `invert` (--inverted), and the crops that it inverted.
        way: Which way of that run, such as "optimise+pivotal". None: its last.
        passes: Passes of the encoder. None: as many as in its training.
        crops: At most so many real crops a person, by turns over its cameras.
        people: The first N people. None: all.
        variants: Crops made of each real crop: its reconstruction and variants - 1 others.
        mix: As in generate people; also "between", which goes a part of the way to another crop of the same person.
        weight: How far the layers of `mix` go towards the donor: 1 takes its styles, as the sources do, after which few
            people are still themselves. "between" goes a quarter to three quarters of the way, whatever this says.
        donors: Whose styles are mixed in: "random" new people, or other real "people".
        keeps: The groups of `mix` after which the crop still counts as the same person; the table's column `identity`
            says "keep" or "new" for each crop, and `extend --label same` takes the former if the identity filter does.
        split: "train", or "all" for the crops of test people too.
        psi: Truncation of random donors; 1 is none.
        batch: Crops computed at once; does not change the pixels.
        quality: JPEG quality of the files.
        device: "auto" computes where the generator was loaded.
    """

    invert: Invert = "encoder"
    way: str | None = None
    passes: int | None = None
    crops: int = 4
    people: int | None = None
    variants: int = 6
    mix: str | tuple[str, ...] = ("coarse", "between")
    weight: float = 0.5
    donors: Literal["random", "people"] = "random"
    keeps: tuple[str, ...] = ("coarse", "sources-coarse", "fine", "sources-fine", "between")
    split: Literal["train", "all"] = "train"
    psi: float = 1.0
    batch: int = 64
    quality: int = 95
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "passes", "crops", "people", "variants", "batch")
        check_sampling(self)
        require(
            1 <= self.quality <= 100,
            f"{option('quality')} must be a JPEG quality.",
            got=self.quality,
            allowed="1 to 100",
        )
