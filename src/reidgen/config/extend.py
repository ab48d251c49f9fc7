"""The knobs of extending a train split."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_not_negative


@dataclass(frozen=True, kw_only=True)
class ExtendConfig:
    """What is added to the real train split.

    Attributes:
        people: The first N generated people, all their kept crops. None: all people.
        crops_per_person: At most M kept crops a person, in table order. None: all crops.
        label: "new" gives every generated person an identity of its own; "same" adds crops to the real person they
            are variants of: the crops have to be generated from real people, and those that count as another person
            (column `identity`, from generate variants) are left out. Training may ignore these identities: see
            generated_label of train-reid; its policies without identity take a table with "new".
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
