"""The knobs of real people in a generator's latent space: inversion and variants."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Device, check_counts, check_not_negative, check_positive, check_seed, require
from reidgen.config.generators.common import SamplingConfig, WrittenCropsConfig
from reidgen.config.generators.likeness import LikenessConfig
from reidgen.errors import option

Invert = Literal["encoder", "optimise", "pivotal", "given"]


@dataclass(frozen=True, kw_only=True)
class SearchConfig(LikenessConfig):
    """Inversion by optimisation and pivotal tuning.

    Attributes:
        search_steps: Steps of the optimisation in w+ (Karras et al. 2020, CVPR, appendix D).
        search_lr: Its largest learning rate.
        noise_weight: Weight of the penalty on noise maps that are optimised too (ways with +noise).
        tune_steps: Steps of pivotal tuning (Roich et al. 2021).
        tune_lr: Its learning rate.
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
        check_positive(self, "search_lr", "tune_lr")
        check_not_negative(self, "tune_stop", "noise_weight")


@dataclass(frozen=True, kw_only=True)
class InversionConfig(SearchConfig):
    """Ways of inverting the same crops, side by side.

    Attributes:
        methods: Ways of inverting. "average": the mean of w. "encoder:N": N passes of the encoder. "optimise": a search
            from the average. "encoder+optimise": a search from the encoder's w+. With "+noise" a search optimises
            StyleGAN2's noise maps too. With "+pivotal" any way is followed by tuning the generator around its w+.
        people: "held-out" are the people that the encoder has not learned from; or a split.
        crops: How many crops, one a person in turn.
        batch: Crops inverted at once, and at most so many in a step of pivotal tuning.
        tuned: "keep" leaves the tuned generators in tuned/. They are whole files: `load_generator` opens them, and
            generate variants takes them (`inverted`). "drop" removes those of a way once it is measured.
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


def is_method(text: str) -> bool:
    """Whether a text names a way of inverting."""
    start = text.removesuffix("+pivotal")
    name, colon, passes = start.partition(":")
    if name == "encoder" and colon:
        return passes.isdecimal() and int(passes) >= 1
    searches = ("optimise", "encoder+optimise")
    return start in ("average", "encoder", *searches, *(f"{search}+noise" for search in searches))


@dataclass(frozen=True, kw_only=True)
class VariantsConfig(SearchConfig, SamplingConfig, WrittenCropsConfig):
    """Variants of real people.

    Attributes:
        invert: How a crop's w+ is found. "encoder": by the encoder. "optimise": by a search, from the encoder's w+ if
            there is one, else from the average. "pivotal": the same, then the generator is tuned around these w+ (see
            `tune_for`). "given": from an earlier invert (`inverted`), for the crops that it inverted.
        way: Which way of that run, such as "optimise+pivotal". None: its last.
        passes: Passes of the encoder. None: as many as in its training.
        crops: At most so many real crops a person, by turns over its cameras.
        people: The first N people. None: all.
        variants: Crops made of each real crop: its reconstruction and variants - 1 others.
        mix: As in generate people; also "between", which goes a part of the way to another crop of the same person.
        weight: How far the layers of `mix` go towards the donor. 1 takes its styles, as Alvarez-Gonzalez et al. do; few
            people are then still themselves. "between" goes a quarter to three quarters of the way, whatever this says.
        donors: Whose styles are mixed in: "random" new people, or other real "people".
        keeps: The groups of `mix` after which the crop still counts as the same person: "keep" in the table's column
            `identity`, else "new". `extend` with label "same" takes those of "keep" that pass the identity filter.
        split: "train", or "all" for the crops of test people too.
        psi: Truncation of random donors; 1 is none.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "passes", "crops", "people", "variants")
