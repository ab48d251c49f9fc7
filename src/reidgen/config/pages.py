"""The knobs of the report, of the page to look and decide in, and of the quick start."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Device, check_between, check_counts, check_seed


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the page is called.

    Attributes:
        title: Heading of the page.
        note: Paragraphs under the heading, with an empty line between two.
        limits: What the run can and cannot show, as paragraphs of a section of its own.
        show_real: "never" leaves out crops of real people, and of generators that learned from them: the page may be
            published. "allow" shows them.
    """

    title: str = "Did generated people help?"
    note: str = ""
    limits: str = ""
    show_real: Literal["never", "allow"] = "never"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Where the page is served, and who decides on it.

    Attributes:
        port: Of this machine; 0 takes any that is free.
        reviewer: Who decides, as the reviewed table names them. None: the name of the account.
        device: Where networks compute.
    """

    port: int = 8760
    reviewer: str | None = None
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_between(self, 0, 65535, "port")


@dataclass(frozen=True, kw_only=True)
class QuickstartConfig:
    """How much is generated from and trained on the shipped rendered people.

    Attributes:
        people: Generated people.
        variants: Crops of each.
        steps: Optimisation steps of each re-ID training.
        seeds: Re-ID trainings of each kind.
    """

    people: int = 60
    variants: int = 8
    steps: int = 60
    seeds: int = 3
    device: Device = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "people", "variants", "steps", "seeds")
        check_seed(self.seed)
