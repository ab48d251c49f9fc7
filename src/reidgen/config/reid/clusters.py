"""The parts of a re-ID training without labels: how clusters are found, and what generated crops are in them."""

import re
from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import Part, check_counts, check_positive, require
from reidgen.errors import option

ALL = "all"
WAYS = ("cluster", "parent")
_USE = re.compile(rf"(?P<kind>.+):(?P<way>{'|'.join(WAYS)}):(?P<first>\d+)-(?P<last>\d*)")


@dataclass(frozen=True, kw_only=True)
class ClustersConfig(Part):
    """How crops are clustered at the beginning of each epoch.

    Attributes:
        k1: Length of the neighbour lists of the Jaccard distance, the crop itself included. Take about as many as a
            person has crops, or more.
        k2: Nearest neighbours whose vectors the Jaccard distance averages, the crop itself included.
        eps: Radius of DBSCAN in Jaccard distances, 0 to 1.
        min_samples: Crops within the radius, itself included, that make a crop the core of a cluster.
        agreement_k: Nearest neighbours, the crop itself aside, by which global feature and parts are compared.
    """

    k1: int = 30
    k2: int = 6
    eps: float = 0.5
    min_samples: int = 4
    agreement_k: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "k1", "k2", "min_samples", "agreement_k")
        check_positive(self, "eps")
        require(self.eps < 1, f"{option('eps')} is a Jaccard distance.", got=self.eps, allowed="0 < eps < 1")


@dataclass(frozen=True)
class GeneratedUse:
    """Generated crops of one kind, and what they are in some epochs.

    Attributes:
        kind: What their `operation` begins with; "all" for all of them.
        way: "cluster" lets them join the clustering, "parent" gives them their parent's cluster after it.
        first: First epoch, from 0.
        last: The epoch after the last one; None: to the end.
    """

    kind: str
    way: Literal["cluster", "parent"]
    first: int
    last: int | None

    def holds(self, operation: str | None, epoch: int) -> bool:
        """Whether it is about a crop in an epoch."""
        of_kind = self.kind == ALL or (operation or "").startswith(self.kind)
        return of_kind and self.first <= epoch and (self.last is None or epoch < self.last)


@dataclass(frozen=True, kw_only=True)
class GeneratedUseConfig(Part):
    """What generated crops are in a training without labels.

    Attributes:
        generated_use: When and how generated crops are learned from, as texts KIND:WAY:FROM-TO. KIND is what the
            column `operation` begins with, or "all". WAY is "cluster" (they join the clustering) or "parent" (they
            take their parent's cluster after it). FROM is the first epoch, from 0. TO is the epoch after the last one;
            leave it out to go on to the end. The first text that fits a crop counts; without one the crop is left out.
        generated_camera: Camera of a generated crop: that of its "parent", the "target" that it was moved to (column
            target_camid), or "own", one more camera for all of them.
    """

    generated_use: tuple[str, ...] = ()
    generated_camera: Literal["parent", "target", "own"] = "parent"

    def __post_init__(self) -> None:
        super().__post_init__()
        assert len(self.uses_of_texts) == len(self.generated_use), "an unusable one has raised"

    @property
    def uses_of_texts(self) -> tuple[GeneratedUse, ...]:
        """The texts, read."""
        return tuple(_read(text) for text in self.generated_use)


def _read(text: str) -> GeneratedUse:
    found = _USE.fullmatch(text)
    first, last = (found["first"], found["last"]) if found else ("", "")
    require(
        found is not None and (not last or int(first) < int(last)),
        f"{option('generated_use')} has a text that cannot be read.",
        got=text,
        allowed=f"KIND:WAY:FROM-TO with a way of {', '.join(WAYS)} and FROM below TO",
        fix=option(generated_use="all:parent:0-"),
    )
    assert found is not None
    way: Literal["cluster", "parent"] = "cluster" if found["way"] == "cluster" else "parent"
    return GeneratedUse(found["kind"], way, int(first), int(last) if last else None)
