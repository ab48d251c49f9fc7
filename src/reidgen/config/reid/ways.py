"""The part of a re-ID training without labels that says how turned people, and people without background, are used."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from reidgen.config.base import check_counts, require
from reidgen.config.reid.clusters import GeneratedUse, GeneratedUseConfig
from reidgen.errors import option

Views = Literal["none", "simple", "inject", "sequential"]
VIEW = "view angle={} "  # what the `operation` of a turned crop begins with
BEST = (135, 270, 90, 180)  # the source's best order of its four angles; it names one order more
# Rows of the source's table, as changes to a training; those with sequences or mask images had twice the epochs there.
WAYS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "baseline-whole-batch": {"norm_batch": None},
    **{f"{views}-{n}": {"views": views, "view_angles": BEST[:n]} for views in ("simple", "inject") for n in (1, 2, 4)},
    **{
        f"sequential-{'-'.join(map(str, order))}": {"views": "sequential", "view_angles": order}
        for order in (BEST, (135, 90, 270, 180))
    },
    "fixed": {"mesh": "fixed"},
    "fixed-sequential": {"mesh": "fixed", "views": "sequential", "view_angles": BEST},
    "learned-sequential": {"mesh": "learned", "views": "sequential", "view_angles": BEST},
}


@dataclass(frozen=True, kw_only=True)
class WaysConfig(GeneratedUseConfig):
    """The four ways of using people who were turned, and their bodies.

    Attributes:
        views: What crops of generate rotate are. "simple": they join the clustering. "inject": they take their parent's
            cluster after it. "sequential": they join it, one angle after the other. "none": generated_use alone says.
        view_angles: Those that are used, in degrees; the order is that of "sequential".
        view_epochs: Epochs of each angle of "sequential"; the last one goes on to the end. None: equal shares.
        mesh: The features of real crops become the weighted mean of the crop's and of those of its mask image, which
            shows the person without background; for clusters, agreements and losses, not for the network that is left.
            "fixed" has fixed weights, "learned" learns them.
        mesh_image: The mask image: the crop within its "mask"; or within the picture of its body, "mesh" (column
            mesh_0); or "standing", what `generate rotate` made of crop and body by angle 0, within mesh_0.
        mesh_weights: Of the crop and of its mask image. "learned" begins with them.
        mesh_missing: Real crops without mask image are an "error", or the whole "crop" is theirs, as it always is of
            generated crops.
    """

    views: Views = "none"
    view_angles: tuple[int, ...] = BEST
    view_epochs: int | None = None
    mesh: Literal["none", "fixed", "learned"] = "none"
    mesh_image: Literal["mask", "mesh", "standing"] = "mask"
    mesh_weights: tuple[float, float] = (2.0, 1.0)
    mesh_missing: Literal["error", "crop"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "view_epochs")
        weights, angles = self.mesh_weights, self.view_angles
        require(
            all(0 < weight < math.inf for weight in weights),
            f"{option('mesh_weights')} must be positive.",
            got=" ".join(map(str, weights)),
            allowed="two numbers above 0",
            fix=option(mesh_weights=(2, 1)),
        )
        require(
            bool(angles) and len(set(angles)) == len(angles) and all(0 < angle < 360 for angle in angles),
            f"{option('view_angles')} names whole degrees, each once.",
            got=" ".join(map(str, angles)) or "none",
            allowed="1 to 359",
            fix=option(view_angles=BEST),
        )

    @property
    def standing(self) -> bool:
        """Whether mask images are crops that `generate rotate` has made by angle 0."""
        return self.mesh != "none" and self.mesh_image == "standing"

    @property
    def longer(self) -> bool:
        """Whether the source trains twice as long in this way."""
        return self.views == "sequential" or self.mesh != "none"

    def uses_of_views(self, epochs: int) -> tuple[GeneratedUse, ...]:
        """What turned crops are in a training of so many epochs.

        Raises:
            ConfigError: The epochs do not suffice for all angles.
        """
        if self.views == "none":
            return ()
        if self.views != "sequential":
            way: Literal["cluster", "parent"] = "cluster" if self.views == "simple" else "parent"
            return tuple(GeneratedUse(VIEW.format(angle), way, 0, None) for angle in self.view_angles)
        count, each = len(self.view_angles), self.view_epochs
        needed = count * (each or 1)
        require(
            epochs >= needed,
            f"The training is over before all {option('view_angles')} have been used.",
            got=f"{option(epochs=epochs)}, {count} angles of {each or 'at least one'} epochs",
            allowed=f"{option(epochs=needed)} or more",
            fix=f"{option(epochs=needed)}, or fewer {option('view_epochs')}",
        )
        firsts = [n * each if each else n * epochs // count for n in range(count)]
        spans = zip(self.view_angles, firsts, [*firsts[1:], None], strict=True)
        return tuple(GeneratedUse(VIEW.format(angle), "cluster", first, last) for angle, first, last in spans)
