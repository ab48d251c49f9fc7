"""The part of a re-ID training's config that says how generated crops are learned from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_counts, check_not_negative, check_shares, require
from reidgen.config.reid.batches import BatchesConfig
from reidgen.errors import option

GeneratedLabel = Literal["table", "new", "same", "lsr", "lsro", "mprl", "slsr", "extra", "pseudo", "none"]
WITH_IDENTITY: tuple[GeneratedLabel, ...] = ("table", "new", "same", "lsr")  # generated crops count as their pid says


@dataclass(frozen=True, kw_only=True)
class GeneratedConfig(BatchesConfig):
    """Labels and weights of generated crops, and their part of a batch.

    Attributes:
        generated_label: What the classifier is told of a generated crop. By its pid: "table" that person; "new" and
            "same" too, but only of extend's label of that name; "lsr" that person, smoothed. Whatever its pid: "lsro"
            every real person alike; "mprl" real people by the rank of their scores; "slsr" the real people of the
            crop's group; "extra" one more class; "pseudo" the real person with the highest score; "none" nothing.
        generated_weight: Weight of a generated crop's cross entropy; a real one's is 1. Losses between crops, and to
            centers, count a crop of any weight above 0 like a real one, and leave out those of weight 0.
        generated_from: Share of the training before which generated crops have weight 0. Labels that come from the
            network ("mprl", "pseudo") then come from one that has learned something.
        generated_ratio: Real and generated crops in each batch, as parts, such as 3 1; an epoch is then once through
            the real crops. None: crops are drawn alike, an epoch is once through all.
        generated_smoothing: Epsilon of "lsr".
        generated_features: Run folder of train-reid, trained on real crops, by whose features "slsr" groups. Only
            "slsr" takes it.
        generated_groups: Groups of "slsr".
    """

    generated_label: GeneratedLabel = "table"
    generated_weight: float = 1.0
    generated_from: float = 0.0
    generated_ratio: tuple[int, int] | None = None
    generated_smoothing: float = 0.1
    generated_features: str | None = None
    generated_groups: int = 3

    @property
    def extra_classes(self) -> int:
        """Classes of the classifier beside the people."""
        return 1 if self.generated_label == "extra" else 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self, "generated_weight")
        check_shares(self, "generated_from", "generated_smoothing")
        check_counts(self, "generated_groups")
        require(
            self.generated_label != "slsr" or self.generated_features is not None,
            f'{option("generated_label")} "slsr" needs {option("generated_features")}.',
            got="no features",
            allowed="the run folder of a train-reid",
            fix=f"{option(generated_label='slsr')} {option(generated_features='runs/reid-real')}",
        )
        require(
            self.sampler == "crops" or (self.generated_label in WITH_IDENTITY and self.generated_ratio is None),
            "Batches of people cannot hold crops without identity, nor a ratio of generated ones.",
            got=f"{option(sampler='people')}, {option(generated_label=self.generated_label)}, "
            f"ratio {self.generated_ratio}",
            allowed=f"{option(sampler='crops')}; or a label with an identity ({', '.join(WITH_IDENTITY)}) and no ratio",
            fix=option(sampler="crops"),
        )
        self._check_ratio()

    def _check_ratio(self) -> None:
        parts = self.generated_ratio or (1, 1)
        text = " ".join(map(str, parts))
        require(min(parts) >= 1, f"{option('generated_ratio')} needs both kinds.", got=text, allowed="two numbers >= 1")
        require(
            self.generated_ratio is None or self.batch % sum(parts) == 0,
            f"{option('batch')} cannot be parted by {option('generated_ratio')}.",
            got=f"{option(batch=self.batch)}, ratio {text}",
            allowed=f"a batch that is a multiple of {sum(parts)}",
            fix=option(batch=self.fitting_batch),
        )

    def _divisors(self) -> Iterator[int]:
        yield from super()._divisors()
        yield max(1, sum(self.generated_ratio or (1,)))
