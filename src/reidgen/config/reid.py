"""The knobs of everything that comes after generation: filtering, extending, re-ID training, evaluation."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from reidgen.config.base import (
    Device,
    Precision,
    check_counts,
    check_not_negative,
    check_positive,
    check_seed,
    check_size,
    require,
)
from reidgen.config.data import AugmentConfig
from reidgen.config.devices import DevicesConfig, check_shared_norm
from reidgen.config.recipes import OF_RECIPE, RECIPES, Optimizer, Recipe, renamed_from
from reidgen.errors import option

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
        ssim_first: Whether a person's first crop is the first of "any", as the sources had it, or the first "kept" by
            the filters before this one.
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
    ssim_first: Literal["any", "kept"] = "any"
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
            f"{option('detector_threshold')} must be a probability.",
            got=cut,
            allowed="0 to 1",
        )
        margin = self.identity_threshold
        require(
            margin is None or -2 <= margin <= 2,
            f"{option('identity_threshold')} must be a difference of cosines.",
            got=margin,
            allowed="-2 to 2",
        )
        self._check_network()
        lowest = self.ssim_threshold
        require(
            lowest is None or -1 <= lowest <= 1,
            f"{option('ssim_threshold')} must be an SSIM.",
            got=lowest,
            allowed="-1 to 1",
        )

    def _check_network(self) -> None:
        lacking = "identity" in self.filters and self.reid is None
        network = self.reid is None and self.features is None
        needed = [name for name in self.filters if name in ("realism", "diversity", "copies")]
        require(
            not lacking and not (needed and network),
            f"The {'identity' if lacking else needed[0] if needed else ''} filter needs a network.",
            got=f"no {option('reid')}" if lacking else f"neither {option('reid')} nor {option('features')}",
            allowed=f"the {option('out')} of reidgen train-reid",
            fix=option(reid="runs/reid")
            if lacking
            else f"{option(reid='runs/reid')}, or {option(features='inception')}",
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
        unjudged: What label "same" does with crops that no identity filter has judged (no `score_identity`): "refuse"
            is an error that says what to run, "allow" adds them.
    """

    people: int | None = None
    crops_per_person: int | None = None
    label: Literal["new", "same"] = "new"
    unjudged: Literal["refuse", "allow"] = "refuse"
    seed: int = 0

    def __post_init__(self) -> None:
        check_not_negative(self, "people", "crops_per_person")


@dataclass(frozen=True, kw_only=True)
class ReidConfig(DevicesConfig):
    """A supervised re-ID training.

    Options without a value get the recipe's (`reidgen.config.recipes` has them side by side, with the published numbers
    that they belong to). To change the recipe of a config that is there already, use `with_recipe`.

    Attributes:
        recipe: "ide" is the published baseline that the thesis started from: 512-d bottleneck, cross entropy, SGD.
            "thesis" is the thesis's: a ReLU in the neck, batch 16. "softmax" is torchreid's: no neck, label smoothing,
            Adam. "bot" is the bag of tricks: BNNeck, triplets, centers, warm-up, random erasing. "agw"
            adds generalised-mean pooling, non-local blocks and weighted triplets.
        backbone: "resnet18", "resnet34", "resnet50", "resnet50_ibn", or "timm:NAME" for a network of the package timm
            (extra: timm).
        weights: "imagenet" downloads the backbone's file, a path reads a safetensors file or takes the backbone of the
            run folder of an earlier train-reid, "random" trains from scratch.
        size: (height, width) the crops are resized to.
        neck: Between pooling and classifier: "bottleneck" is Linear and BatchNorm, "bottleneck-relu" has a ReLU after
            them, "bnneck" is BatchNorm alone with losses between crops before it, "none" is nothing.
        bottleneck: Width of the embedding with the necks "bottleneck" and "bottleneck-relu".
        pooling: "average", or "gem" for the generalised mean with a learned power.
        attention: "non-local" puts non-local blocks into stages 2 and 3 of a ResNet.
        last_stride: Stride of a ResNet's last stage; networks of timm keep their own, and take 2 alone.
        epochs: Length in epochs of the table. Ignored when steps is given.
        steps: Length in optimisation steps; hold it fixed when tables of different sizes are compared.
        batch: Crops a step.
        sampler: "crops" shows every crop once an epoch, "people" fills each batch with batch / crops_per_person people.
        crops_per_person: Crops of each person in a batch of sampler "people".
        losses: Names, each with ":WEIGHT" where it is not 1: cross-entropy, triplet (hardest positive and negative),
            triplet-soft, triplet-weighted, circle, center.
        margin: Margin of "triplet", in the unit of the distance.
        label_smoothing: Epsilon of Szegedy et al. 2016; 0 is plain cross entropy.
        dropout: Dropout before the classifier.
        optimizer: "sgd" has Nesterov momentum; "amsgrad" is a variant of "adam".
        lr: Step size of the head; the backbone learns at backbone_lr times it.
        backbone_lr: Factor of the backbone's step size.
        schedule: "step" divides the step size by ten at each of decay_at, "cosine" takes it to 0 over the training.
        decay_at: Shares of the training.
        warmup: Share of the training in which the step size grows.
        warmup_from: Where it grows from, as a share of lr.
        frozen: Share of the training in which only the head learns (torchreid's fixbase); the losses have to reach it.
        norm_batch: Crops that batch normalisation takes together (ghost batches). None: all that a process holds at a
            time, which is the batch but for accumulate; it has to be given with several devices, so that their number
            does not change the result.
        accumulate: Parts that a batch is computed in, one after the other: the memory of a part, and nearly the
            gradient of the whole; batch normalisation and losses between crops see a part.
        validation: "first" keeps the first crop of each person out of training for the validation curves, "none"
            trains on all, as the published numbers of the recipes did, that of "ide" too; of "thesis" it is not known.
        generated_label: What the classifier is told of generated crops. With an identity: "table" what their pids say;
            "new" and "same" too, but the pids must be those of extend's label of that name; "lsr" smooths it. Without,
            whatever their pids: "lsro" every real person alike; "mprl" real people by the rank of their scores; "slsr"
            the real people of the crop's group; "extra" one more class for all of them; "pseudo" the real person with
            the highest score; "none" nothing.
        generated_weight: Weight of a generated crop's cross entropy; a real one's is 1. In losses between crops and to
            centers a crop with any weight above 0 counts like a real one, and with 0 not at all.
        generated_from: Share of the training before which generated crops have weight 0, so that labels that come from
            the network ("mprl", "pseudo") come from one that has learned something.
        generated_ratio: Real and generated crops in each batch, as parts, such as 3 1; an epoch is then once through
            the real crops. None: crops are drawn alike, an epoch is once through all.
        generated_smoothing: Epsilon of "lsr".
        generated_features: Run folder of train-reid, trained on real crops, by whose features "slsr" groups; for it
            alone, and among the labels of a sweep.
        generated_groups: Groups of "slsr".
        compare: With a neck that normalises, whether crops are compared "after" it or "before" it.
        test_metric: Distance by which the recipe compares crops; an evaluation takes it unless it is told another.
        test_flip: "sum" adds the embedding of the mirrored crop; likewise.
        checkpoint_sec: Seconds between two checkpoints for resuming.
    """

    recipe: Recipe = "ide"
    backbone: str = "resnet50"
    weights: str = "imagenet"
    size: tuple[int, int] = (256, 128)
    neck: Literal["bottleneck", "bottleneck-relu", "bnneck", "none"] = OF_RECIPE
    bottleneck: int = 512
    pooling: Literal["average", "gem"] = OF_RECIPE
    attention: Literal["none", "non-local"] = OF_RECIPE
    last_stride: Literal[1, 2] = OF_RECIPE
    stride_in: Literal["3x3", "1x1"] = "3x3"
    epochs: int = OF_RECIPE
    steps: int | None = None
    batch: int = OF_RECIPE
    sampler: Literal["crops", "people"] = OF_RECIPE
    crops_per_person: int = 4
    losses: tuple[str, ...] = OF_RECIPE
    margin: float = 0.3
    label_smoothing: float = OF_RECIPE
    dropout: float = OF_RECIPE
    optimizer: Optimizer = OF_RECIPE
    lr: float = OF_RECIPE
    backbone_lr: float = OF_RECIPE
    weight_decay: float = 5e-4
    schedule: Literal["step", "cosine"] = "step"
    decay_at: tuple[float, ...] = OF_RECIPE
    warmup: float = OF_RECIPE
    warmup_from: float = OF_RECIPE
    frozen: float = 0.0
    norm_batch: int | None = None
    accumulate: int = 1
    validation: Literal["first", "none"] = OF_RECIPE
    generated_label: GeneratedLabel = "table"
    generated_weight: float = 1.0
    generated_from: float = 0.0
    generated_ratio: tuple[int, int] | None = None
    generated_smoothing: float = 0.1
    generated_features: str | None = None
    generated_groups: int = 3
    augment: AugmentConfig = OF_RECIPE
    compare: Literal["after", "before"] = "after"
    test_metric: Literal["cosine", "euclid"] = OF_RECIPE
    test_flip: Literal["sum", "none"] = OF_RECIPE
    checkpoint_sec: float = 300
    precision: Precision = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.recipe in RECIPES,
            f"{option('recipe')} must be one of the allowed names.",
            got=self.recipe,
            allowed=", ".join(RECIPES),
        )
        for name, value in RECIPES[self.recipe].items():
            if getattr(self, name) is OF_RECIPE:
                object.__setattr__(self, name, value)
        check_size("size", self.size)
        require(
            self.batch >= 2, f"{option('batch')} is too small for batch normalisation.", got=self.batch, allowed=">= 2"
        )
        check_counts(self, "epochs", "steps", "bottleneck", "crops_per_person", "accumulate", "norm_batch")
        check_positive(self, "lr")
        check_not_negative(self, "backbone_lr", "weight_decay", "generated_weight", "margin", "checkpoint_sec")
        check_seed(self.seed)
        require(
            0 <= self.dropout < 1, f"{option('dropout')} is out of range.", got=self.dropout, allowed="0 <= dropout < 1"
        )
        shares = ("warmup", "warmup_from", "frozen", "label_smoothing", "generated_from", "generated_smoothing")
        for name, value in [(name, getattr(self, name)) for name in shares] + [
            ("decay_at", at) for at in self.decay_at
        ]:
            require(0 <= value <= 1, f"{option(name)} is a share.", got=value, allowed="0 to 1")
        assert self.loss_weights, "an unusable one has raised"
        self._check_renamed()
        self._check_network()
        self._check_parts()
        self._check_generated()

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weight of each loss, in order."""
        weights = {}
        for text in self.losses:
            name, _, weight = text.partition(":")
            try:
                weights[name] = float(weight) if weight else 1.0
            except ValueError:
                weights[name] = math.nan
            require(
                0 < weights[name] < math.inf,
                "A loss has no usable weight.",
                got=text,
                allowed="NAME or NAME:WEIGHT > 0",
            )
        names = " ".join(self.losses)
        require(
            len(weights) == len(self.losses) > 0,
            f"{option('losses')} must name one or more, each once.",
            got=names,
            allowed="each once",
        )
        return weights

    def _check_renamed(self) -> None:
        other = renamed_from(self.recipe, self)
        require(
            other is None,
            f"This is recipe {other}, and says to be {self.recipe}.",
            got=f"recipe {self.recipe} with the options of {other}",
            allowed=f"the options of {self.recipe}, or single ones changed",
            fix=f'with_recipe(config, "{self.recipe}"), or ReidConfig(recipe="{self.recipe}", ...)',
        )

    def _check_network(self) -> None:
        resnet50 = self.backbone in ("resnet50", "resnet50_ibn")
        timm = self.backbone.startswith("timm:") and len(self.backbone) > len("timm:")
        require(
            resnet50 or timm or self.backbone in ("resnet18", "resnet34"),
            "The backbone is unknown.",
            got=self.backbone,
            allowed="resnet18, resnet34, resnet50, resnet50_ibn, or timm:NAME",
            fix=option(backbone="resnet50"),
        )
        require(
            self.stride_in == "3x3" or resnet50,
            f"The blocks of {self.backbone} have no 1x1 convolution that could carry the stride.",
            got=option(stride_in="1x1"),
            allowed=option(stride_in="3x3"),
            fix=option(backbone="resnet50"),
        )
        require(
            self.attention == "none" or not timm,
            "Non-local blocks go into the ResNets alone.",
            got=f"{option(attention=self.attention)} {option(backbone=self.backbone)}",
            allowed=option(attention="none"),
            fix=f"{option(attention='none')}, or {option(backbone='resnet50')}",
        )
        require(
            self.last_stride == 2 or not timm,
            "The last stride is an option of the ResNets alone.",
            got=f"{option(last_stride=self.last_stride)} {option(backbone=self.backbone)}",
            allowed=option(last_stride=2),
            fix=f"{option(last_stride=2)}, or {option(backbone='resnet50')}",
        )
        require(
            self.backbone != "resnet50_ibn" or max(self.size) > 16,
            "The maps of resnet50_ibn's third stage have one pixel, which instance normalisation cannot normalise.",
            got=option(size=(self.size[0], self.size[1])),
            allowed="more than 16 in one direction",
            fix=f"{option(size=(256, 128))}, or {option(backbone='resnet50')}",
        )
        require(
            self.frozen == 0
            or "cross-entropy" in self.loss_weights
            or self.neck in ("bottleneck", "bottleneck-relu")
            or self.pooling == "gem",
            "While the backbone is frozen nothing learns from these losses, which see the pooled feature.",
            got=f"{option(losses=self.losses)} {option(neck=self.neck)} {option(frozen=self.frozen)}",
            allowed=f"{option(frozen=0)}; or cross-entropy among the losses, "
            f"{option(neck='bottleneck')}, or {option(pooling='gem')}",
            fix=option(frozen=0),
        )
        require(
            self.compare == "after" or self.neck != "none",
            f"{option(compare='before')} needs a neck that normalises.",
            got=option(neck=self.neck),
            allowed=f"{option(neck='bottleneck')}, or bnneck",
            fix=option(compare="after"),
        )

    def _check_parts(self) -> None:
        """Parts, devices and ghost batches have to divide the batch, and people have to stay whole."""
        held, rest = divmod(self.batch, self.accumulate * self.processes)
        require(
            rest == 0 and held >= 2,
            f"{option('batch')} cannot be shared out evenly, two crops or more at a time.",
            got=f"{option(batch=self.batch)} {option(accumulate=self.accumulate)} {option(devices=self.devices)}"
            + (f" {option(nodes=self.nodes)}" if self.nodes > 1 else ""),
            allowed="a multiple of accumulate times devices",
            fix=option(batch=self._fitting_batch()),
        )
        check_shared_norm(self, held)
        if self.sampler == "people":
            part, crops = self.batch // self.accumulate, self.crops_per_person
            require(
                part % crops == 0 and part >= 2 * crops,
                f"{option('batch')} cannot be filled with two people or more of {option('crops_per_person')} crops.",
                got=f"{option(batch=self.batch)} {option(accumulate=self.accumulate)} {option(crops_per_person=crops)}",
                allowed="a multiple of accumulate times crops-per-person, twice that or more",
                fix=option(batch=self._fitting_batch()),
            )

    def _fitting_batch(self) -> int:
        """The nearest batch that parts, devices, ghost batches, people and the ratio of generated crops all allow."""
        parts = self.accumulate * self.processes
        people = self.accumulate * self.crops_per_person if self.sampler == "people" else 1
        unit = math.lcm(parts * (self.norm_batch or 1), people, max(1, sum(self.generated_ratio or (1,))))
        fewest = -(-2 * max(parts, people) // unit)
        return max(fewest, round(self.batch / unit)) * unit

    def _check_generated(self) -> None:
        check_counts(self, "generated_groups")
        require(
            self.generated_label != "slsr" or self.generated_features is not None,
            f'{option("generated_label")} "slsr" needs {option("generated_features")}.',
            got="no features",
            allowed="the run folder of a train-reid",
            fix=f"{option(generated_label='slsr')} {option(generated_features='runs/reid-real')}",
        )
        identified = self.generated_label in ("table", "new", "same", "lsr")
        require(
            self.sampler == "crops" or (identified and self.generated_ratio is None),
            "Batches of people cannot hold crops without identity, nor a ratio of generated ones.",
            got=f"{option(sampler='people')}, {option(generated_label=self.generated_label)}, "
            f"ratio {self.generated_ratio}",
            allowed=f"{option(sampler='crops')}; or a label with an identity (table, new, same, lsr) and no ratio",
            fix=option(sampler="crops"),
        )
        if self.generated_ratio is not None:
            parts = self.generated_ratio
            text = " ".join(map(str, parts))
            require(
                min(parts) >= 1, f"{option('generated_ratio')} needs both kinds.", got=text, allowed="two numbers >= 1"
            )
            require(
                self.batch % sum(parts) == 0,
                f"{option('batch')} cannot be parted by {option('generated_ratio')}.",
                got=f"{option(batch=self.batch)}, ratio {text}",
                allowed=f"a batch that is a multiple of {sum(parts)}",
                fix=option(batch=self._fitting_batch()),
            )


def with_recipe(config: ReidConfig, recipe: Recipe, **changes: Any) -> ReidConfig:
    """A config under another recipe: what it has beyond its own recipe's values stays, all else becomes the new one's.

    Args:
        config: A training.
        recipe: The new recipe.
        changes: Further fields.

    Raises:
        ConfigError: The recipe is unknown, or the values do not go together.
    """
    plain = ReidConfig(recipe=config.recipe)
    fields = [field.name for field in dataclasses.fields(ReidConfig) if field.name != "recipe"]
    own = {name: getattr(config, name) for name in fields if getattr(config, name) != getattr(plain, name)}
    return ReidConfig(**{"recipe": recipe, **own, **changes})
