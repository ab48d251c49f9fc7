"""The part of a re-ID training's config that the network is built from."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_counts, require
from reidgen.config.reid.backbone import BackboneConfig
from reidgen.errors import option

Neck = Literal["bottleneck", "bottleneck-relu", "bnneck", "none"]
Pooling = Literal["average", "gem"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(BackboneConfig):
    """A backbone, and what makes an embedding and scores of its maps.

    Attributes:
        neck: Between pooling and classifier: "bottleneck" is Linear and BatchNorm, "bottleneck-relu" has a ReLU after
            them, "bnneck" is BatchNorm alone with losses between crops before it, "none" is nothing.
        bottleneck: Width of the embedding with the necks "bottleneck" and "bottleneck-relu".
        pooling: "average", or "gem" for the generalised mean with a learned power.
        dropout: Dropout before the classifier.
        compare: With a neck that normalises, whether crops are compared "after" it or "before" it.
    """

    neck: Neck = "bottleneck"
    bottleneck: int = 512
    pooling: Pooling = "average"
    dropout: float = 0.5
    compare: Literal["after", "before"] = "after"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "bottleneck")
        require(
            0 <= self.dropout < 1, f"{option('dropout')} is out of range.", got=self.dropout, allowed="0 <= dropout < 1"
        )
        require(
            self.compare == "after" or self.neck != "none",
            f"{option(compare='before')} needs a neck that normalises.",
            got=option(neck=self.neck),
            allowed=f"{option(neck='bottleneck')}, or bnneck",
            fix=option(compare="after"),
        )
