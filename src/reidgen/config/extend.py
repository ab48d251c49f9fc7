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
        label: "new" gives every generated person an identity of its own. "same" gives crops the label of the real
            person that they are variants of; those that count as somebody else (column `identity`, from generate
            variants) are left out. For train-reid's generated_label without identities ("lsro", "none" and others) take
            "new".
        unjudged: What label "same" does with crops that no identity filter has judged (no `score_identity`). "refuse"
            is an error that says what to run; "allow" adds them.
    """

    people: int | None = None
    crops_per_person: int | None = None
    label: Literal["new", "same"] = "new"
    unjudged: Literal["refuse", "allow"] = "refuse"
    seed: int = 0

    def __post_init__(self) -> None:
        check_not_negative(self, "people", "crops_per_person")
