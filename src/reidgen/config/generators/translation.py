"""The knobs of translators: networks that show a person in another camera's style and place."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from reidgen.config.base import (
    Device,
    GivenBy,
    check_counts,
    check_not_negative,
    check_positive,
    check_seed,
    check_size,
    fill,
    require,
)
from reidgen.config.generators.common import LearnedCropsConfig, WrittenCropsConfig
from reidgen.config.generators.translators import FAMILIES, OFF, TRANSLATOR_PRESETS, Family, TranslatorPreset
from reidgen.config.training import DevicesConfig, check_shared_batch
from reidgen.errors import option

Sees = Literal["image", "image-mask", "image-masks"]
HeldTo = Literal["l1", "static", "variable"]
Judged = Literal["everything", "place"]
Backgrounds = Literal["mean", "random", "inpainted"]
Gap = Literal["free", "inpainted"]
DEEPEST = 8  # halvings of the U-Net at most
FEWEST_TARGETS = 10  # crops of the target below which nothing is learned of it

OF_PRESET: Any = GivenBy("preset")
WEIGHTS = tuple(name for name in OFF if name.endswith("_weight"))


@dataclass(frozen=True, kw_only=True)
class TranslatorConfig(LearnedCropsConfig, DevicesConfig):
    """Cameras, networks, losses and schedule of a translator.

    Options without a value get the preset's (`reidgen.config.generators.translators` has them side by side, with their
    sources).

    Attributes:
        preset: "pix2pix", "pix2pix-mask" and "pix2pix-pose" are the models 1 to 3 of Kolbeinsson 2019. "background" is
            its model 4, whose target needs no labels. "background-pose" has the variable loss that it proposes.
            "camstyle" is CycleGAN between two cameras. "spgan" is the same with a loss that keeps people apart.
            "stargan" is one network for all cameras. "paste" has no network and pastes the person on backgrounds of
            the target.
        source: Camera whose people are translated. None with stargan, which learns all cameras. With camstyle and
            spgan, None here and in `target` trains every pair of cameras.
        target: Camera that they are translated to. None with stargan.
        size: (height, width) of the crops: 16 or more, and multiples of 8 (of 4 with camstyle and spgan).
        steps: Length of the training in steps.
        batch: Crops a step.
        width: Channels of the networks at the largest maps.
        depth: Halvings of the U-Net; None takes as many as both sides allow, up to 8.
        blocks: Residual blocks of camstyle, spgan and stargan; None: 6, and 9 from a height of 256.
        patch_layers: Halvings of the patch discriminator, 3 for patches of 70x70 pixels; None takes 3, or what the size
            leaves.
        norm: Normalisation of the U-Net and the patch discriminator: over the batch, or each crop by itself.
        norm_batch: Crops whose statistics batch normalisation takes together (ghost batches). None: the whole batch.
            Several devices need a number, so that theirs does not change the result.
        enlarge: Factor by which a crop is enlarged before a random part of the old size is cut out. A pair and its
            masks get the same part. 1 shows crops as they are.
        lr: Learning rate of Adam, for all networks.
        beta1: Adam's beta1.
        decay: Share of the steps, at the end, over which the learning rate falls to 0.
        sees: Input of the U-Net: "image" the crop, "image-mask" its mask too, "image-masks" also the mask that the
            person shall have.
        held_to: What the made crop is compared with. "l1": the target crop. "static": the person of the source crop and
            the background of the target crop. "variable": person and background of the target crop, each with its own
            weight.
        judged_by: What the discriminator sees beside a crop: "everything" that the U-Net sees, or the "place", which is
            the background without people.
        gan_weight: Weight of the adversarial loss.
        l1_weight: Weight of the L1 loss.
        foreground_weight: Weight of the loss on the person.
        background_weight: Weight of the loss on the background.
        targets_per_crop: Target crops, of anybody, that each source crop is paired with; 0 pairs crops of one person
            and sequence.
        gap: What the static loss asks for where the target's person stands and the source's does not. "free": nothing,
            as in model 4, whose backgrounds can differ left and right of the person. "inpainted": what is around the
            target's person.
        mask_blur: Standard deviation, in pixels, of the blur of the masks in static and variable losses, which blends
            person and background.
        cycle_weight: Weight of the cycle loss: a crop that is translated and translated back stays as it was.
        identity_weight: Weight of the identity loss: a crop of the target stays as it is.
        similarity_weight: Weight of SPGAN's contrastive loss.
        class_weight: Weight of StarGAN's camera classification loss.
        penalty_weight: Weight of StarGAN's gradient penalty.
        history: Earlier made crops that are kept to show the discriminator again.
        critic_steps: Steps of the discriminator for each of the generator.
        backgrounds: What paste puts people on. "mean": the mean background of the target. "random": crops of the target
            whose people are filled with that mean. "inpainted": crops of the target whose people are filled from the
            pixels around them.
        kept: Number of the target's backgrounds that paste keeps.
        snapshot_steps: Steps between two sheets of translated crops.
        precision: "bf16" computes the convolutions in bfloat16.
    """

    preset: TranslatorPreset = "background"
    source: int | None = None
    target: int | None = None
    steps: int = 20_000
    batch: int = OF_PRESET
    width: int = 64
    depth: int | None = None
    blocks: int | None = None
    patch_layers: int | None = None
    norm: Literal["batch", "instance"] = OF_PRESET
    norm_batch: int | None = None
    enlarge: float = OF_PRESET
    lr: float = OF_PRESET
    beta1: float = 0.5
    decay: float = OF_PRESET
    sees: Sees = OF_PRESET
    held_to: HeldTo = OF_PRESET
    judged_by: Judged = OF_PRESET
    gan_weight: float = 1.0
    l1_weight: float = OF_PRESET
    foreground_weight: float = OF_PRESET
    background_weight: float = OF_PRESET
    targets_per_crop: int = OF_PRESET
    gap: Gap = OF_PRESET
    mask_blur: float = OF_PRESET
    cycle_weight: float = OF_PRESET
    identity_weight: float = OF_PRESET
    similarity_weight: float = OF_PRESET
    class_weight: float = OF_PRESET
    penalty_weight: float = OF_PRESET
    history: int = OF_PRESET
    critic_steps: int = OF_PRESET
    backgrounds: Backgrounds = OF_PRESET
    kept: int = OF_PRESET
    snapshot_steps: int = 2000
    precision: Literal["float32", "bf16"] = "float32"

    def __post_init__(self) -> None:
        known = ", ".join(get_args(TranslatorPreset))
        require(
            self.preset in TRANSLATOR_PRESETS,
            f"{option('preset')} must be one of the allowed names.",
            got=self.preset,
            allowed=known,
        )
        fill(self, {**OFF, **TRANSLATOR_PRESETS[self.preset]})
        super().__post_init__()
        self._check_options()
        self._check_cameras()
        self._check_size()
        check_counts(self, "steps", "batch", "width", "depth", "blocks", "patch_layers", "critic_steps")
        check_counts(self, "snapshot_steps", "norm_batch")
        self._check_shared()
        check_not_negative(self, *WEIGHTS, "mask_blur", "history", "targets_per_crop", "kept")
        check_positive(self, *(["gan_weight", "lr"] if self.family != "paste" else []))
        require(0 <= self.beta1 < 1, f"{option('beta1')} is out of range.", got=self.beta1, allowed="0 <= beta1 < 1")
        require(1 <= self.enlarge <= 2, f"{option('enlarge')} is out of range.", got=self.enlarge, allowed="1 to 2")
        require(0 <= self.decay <= 1, f"{option('decay')} is a share of the steps.", got=self.decay, allowed="0 to 1")

    @property
    def family(self) -> Family:
        """How the preset learns: from pairs, in cycles, all cameras at once, or not at all."""
        return FAMILIES.get(self.preset, "paired")

    @property
    def needs_masks(self) -> bool:
        """Whether the crops need masks."""
        return self.family == "paste" or self.sees != "image" or self.held_to != "l1"

    @property
    def needs_pose(self) -> bool:
        """Whether a translation needs the mask that the person shall have."""
        return self.sees == "image-masks"

    def _check_options(self) -> None:
        for name, off in OFF.items():
            has = name in TRANSLATOR_PRESETS[self.preset]
            value = getattr(self, name)
            owners = ", ".join(preset for preset, values in TRANSLATOR_PRESETS.items() if name in values)
            what = f"{option(name)} is an option of other presets than {self.preset}."
            require(
                has or value == off,
                what,
                got=value,
                allowed=f"{option('preset')} {owners}",
                fix=f"leave {option(name)} out",
            )
        require(
            self.held_to == "static" or self.gap == "free",
            f"{option(gap='inpainted')} fills a gap that only the static loss has.",
            got=f"{option(held_to=self.held_to)} {option(gap=self.gap)}",
            allowed=f"{option(gap='free')}, but for {option(held_to='static')}",
            fix=option(gap="free"),
        )
        paired = self.targets_per_crop == 0
        require(
            self.held_to == "static" or paired,
            f"{option('targets_per_crop')} pairs crops of two people, which this loss would make one.",
            got=f"{option(held_to=self.held_to)} {option(targets_per_crop=self.targets_per_crop)}",
            allowed=f"0, but for {option(held_to='static')}",
            fix=option(targets_per_crop=0),
        )

    def _check_cameras(self) -> None:
        if self.family == "domains":
            given = [one for one in (self.source, self.target) if one is not None]
            what = f"{option(preset=self.preset)} learns all cameras of the table at once."
            require(
                not given,
                what,
                got=f"{option(source=self.source)} {option(target=self.target)}",
                allowed="neither of them",
            )
            return
        require(
            (self.source is None and self.target is None) or None not in (self.source, self.target),
            f"{option('source')} and {option('target')} belong together.",
            got=f"{option(source=self.source)} {option(target=self.target)}",
            allowed="two cameras of the table",
            fix=f"{option(source=1)} {option(target=2)}",
        )
        require(
            self.source is None or self.source != self.target,
            f"{option('source')} and {option('target')} are two cameras.",
            got=f"camera {self.source} twice",
            allowed="two cameras of the table",
            fix=f"{option(source=1)} {option(target=2)}",
        )

    def _check_shared(self) -> None:
        require(
            self.norm == "batch" or self.norm_batch is None,
            f"{option('norm_batch')} is for {option(norm='batch')}.",
            got=f"{option(norm=self.norm)} {option(norm_batch=self.norm_batch)}",
            allowed=f"{option(norm='batch')}, or no {option('norm_batch')}",
            fix=f"leave {option('norm_batch')} out",
        )
        require(
            self.family != "paste" or self.processes == 1,
            f"{option(preset='paste')} has nothing to learn that {option('devices')} could share.",
            got=f"{option(devices=self.devices)} {option(nodes=self.nodes)}",
            allowed="one process",
            fix=f"leave {option('devices')} and {option('nodes')} out",
        )
        alone = self.batch == self.processes == 1 and self.norm_batch is None
        check_shared_batch(self, normalised=self.norm == "batch" and not alone)

    def _check_size(self) -> None:
        check_size("size", self.size)
        deepest = min((side & -side).bit_length() - 1 for side in self.size)
        least = {"paired": 3, "cycle": 2, "domains": 3, "paste": 0}[self.family]
        require(
            deepest >= least and min(self.size) >= 16,
            f"{option('size')} cannot be halved often enough.",
            got=f"{self.size[0]}x{self.size[1]}, whose sides can both be halved {deepest} times without a remainder",
            allowed=f"sides of 16 or more that are multiples of {2**least}",
            fix=option(size=(128, 64)),
        )
        require(
            self.depth is None or 3 <= self.depth <= min(deepest, DEEPEST),
            f"{option('depth')} does not fit the size.",
            got=f"{self.depth} halvings of {self.size[0]}x{self.size[1]}",
            allowed=f"3 to {min(deepest, DEEPEST)}",
            fix=option(depth=min(deepest, DEEPEST)),
        )
        most = int(math.log2(min(self.size) / 3))
        require(
            self.patch_layers is None or self.patch_layers <= most,
            f"{option('patch_layers')} leaves no patch.",
            got=f"{self.patch_layers} halvings of {self.size[0]}x{self.size[1]}",
            allowed=f"1 to {most}",
            fix=option(patch_layers=min(most, 3)),
        )


@dataclass(frozen=True, kw_only=True)
class TranslateConfig(WrittenCropsConfig):
    """Which crops are translated, where to, and how often.

    Attributes:
        crops: "all": every crop of the source. "test": crops whose person the target does not show in the same
            sequence. "new": crops of people whom the target never saw.
        source: Camera whose people are translated; None takes every camera that the translator can start from.
        target: Camera that they are translated to; None takes every one that the translator knows.
        outputs: Crops made of each crop, with other noise, backgrounds and poses.
        pose: For translators that need a pose: the mask of a "random" crop of the target, or the person's "own".
        split: Crops that are translated; "all" puts test people into the train split.
        device: "auto" leaves the translator where it was loaded; on the command line that is CUDA where there is one.
    """

    crops: Literal["all", "test", "new"] = "all"
    source: int | None = None
    target: int | None = None
    outputs: int = 1
    pose: Literal["random", "own"] = "random"
    split: Literal["train", "all"] = "train"
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "outputs")
        check_seed(self.seed)
