"""The crops of a training without labels: real ones, generated ones beside them, and when each of these counts."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from reidgen.config import UnsupervisedConfig
from reidgen.config.reid.clusters import GeneratedUse
from reidgen.data.provenance.parents import ends_of_chains
from reidgen.data.table import ReidTable
from reidgen.errors import ConfigError, DataError, option
from reidgen.reid.unsupervised.mask_images import STANDS, MaskTables


@dataclass(frozen=True, eq=False)
class Crops:
    """Real crops, then generated ones.

    Attributes:
        table: All of them, N.
        real: How many are real.
        cameras: int64 (N,), what each counts as.
        parents: int64 (N,), row of the real crop that a generated one comes from; -1 for none.
        uses: What generated crops are, and when.
        masks: What their mask images are made of; None: there are none.
    """

    table: ReidTable
    real: int
    cameras: np.ndarray
    parents: np.ndarray
    uses: tuple[GeneratedUse, ...]
    masks: MaskTables | None = None

    @classmethod
    def of(cls, table: ReidTable, generated: ReidTable | None, config: UnsupervisedConfig) -> "Crops":
        """The train splits of both tables, without what a filter has rejected; nobody's label is looked at.

        Raises:
            DataError: There are no crops, no two cameras for proxies, or a generated crop has no parent among the real
                ones, or no target camera, where it needs one.
            ConfigError: There are generated crops and no use for them, or a use that no crop has.
        """
        real = table.train.kept
        if not len(real):
            raise DataError(f"{table.name or 'The table'} has no crops in split train.", got="0", allowed="some")
        made = real.where([False] * len(real)) if generated is None else generated.train.kept
        masks = MaskTables.of(real, made, config) if config.mesh != "none" else None
        if config.standing:
            made = made.where(~STANDS)
        made = _of_angles(made, config)
        _check_uses(made, len(made) > 0 or not (generated is None or config.standing), config)
        parents = _parents(real, made)
        cameras = np.concatenate([real.camids, _cameras(real, made, parents, config)])
        if config.cameras == "proxies" and len(np.unique(cameras)) < 2:
            raise DataError(
                "A loss by cameras needs crops of two cameras.",
                got=f"camera {cameras[0]} on all crops",
                allowed="two camera numbers or more in the train split",
                fix=option(cameras="none"),
            )
        crops = cls(ReidTable.concat([real, made]), len(real), cameras, parents, config.uses, masks)
        crops._check_parents()
        return crops

    def active(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of an epoch, int64, ascending: those that are clustered, and those that take their parent's cluster."""
        ways = [self._way(epoch, operation) for operation in self.table.rows["operation"][self.real :]]
        joins, follows = (np.array([way == name for way in ways], bool) for name in ("cluster", "parent"))
        real = np.arange(self.real)
        return np.concatenate([real, self.real + np.flatnonzero(joins)]), self.real + np.flatnonzero(follows)

    def _way(self, epoch: int, operation: str | None) -> str | None:
        return next((use.way for use in self.uses if use.holds(operation, epoch)), None)

    def _check_parents(self) -> None:
        """A crop that ever takes its parent's cluster has a parent."""
        operations = self.table.rows["operation"].to_list()
        follow = [use for use in self.uses if use.way == "parent"]
        for row in range(self.real, len(self.table)):
            if self.parents[row] < 0 and any(use.holds(operations[row], use.first) for use in follow):
                raise _no_parent(self.table, row, "take their parent's cluster")

    def facts(self) -> dict[str, int | float]:
        """How many there are; of people there are none, as nobody is told apart by a label."""
        generated = len(self.table) - self.real
        return {
            "images": len(self.table),
            "people": 0,
            "cameras": len(np.unique(self.cameras)),
            "generated_images": generated,
            "generated_people": 0,
            "generated_share": round(generated / len(self.table), 6),
        }


def _of_angles(made: ReidTable, config: UnsupervisedConfig) -> ReidTable:
    """The generated crops, without those turned by angles that `views` does not take."""
    if config.views == "none":
        return made
    turned = made.rows["operation"].cast(pl.String).str.extract(r"^view angle=(\d+) ").cast(pl.Int64)
    angles = sorted(turned.drop_nulls().unique())
    missing = [angle for angle in config.view_angles if angle not in angles]
    if missing:
        raise ConfigError(
            f"{option('views')} {config.views} needs crops turned by {', '.join(map(str, missing))} degrees.",
            got=f"crops turned by {', '.join(map(str, angles))}" if angles else "no turned crops",
            allowed=f"{option('generated')}, the {option('out')} of reidgen generate rotate",
            fix=option(view_angles=angles) if angles else f"reidgen generate rotate with {option(angles=missing)}",
        )
    return made.where(turned.is_null() | turned.is_in(config.view_angles))


def _check_uses(made: ReidTable, given: bool, config: UnsupervisedConfig) -> None:
    if given and not config.uses:
        raise ConfigError(
            "Nothing says what the generated crops are.",
            got=f"{len(made):,} generated crops and no {option('generated_use')}",
            allowed=f"{option('views')}, or KIND:WAY:FROM-TO, such as all:cluster:0- or all:parent:0-",
            fix=option(generated_use="all:parent:0-"),
        )
    for use in config.uses:
        if not any(use.holds(operation, use.first) for operation in made.rows["operation"]):
            kinds = sorted({(operation or "").partition(" ")[0] for operation in made.rows["operation"]})
            raise ConfigError(
                f"{option('generated_use')} names a kind of crops that there is not.",
                got=use.kind,
                allowed=f"all, or what operations begin with: {', '.join(kinds)}" if kinds else "a table of them",
                fix=option(generated_use="all:parent:0-") if kinds else f"{option('generated')}, a table of them",
            )


def _parents(real: ReidTable, made: ReidTable) -> np.ndarray:
    rows = {name: row for row, name in enumerate(real.rows["file_name"])}
    found = [-1 if end is None else rows.get(end.rpartition(":")[2], -1) for end in ends_of_chains(made)]
    return np.array([-1] * len(real) + found, np.int64)


def _cameras(real: ReidTable, made: ReidTable, parents: np.ndarray, config: UnsupervisedConfig) -> np.ndarray:
    """What the generated crops count as."""
    if config.generated_camera == "own":
        return np.full(len(made), real.camids.max() + 1)
    if config.generated_camera == "parent":
        own = parents[len(real) :]
        if (own < 0).any():
            whole = ReidTable.concat([real, made])
            raise _no_parent(whole, len(real) + int(np.argmin(own)), "count as their parent's camera")
        return real.camids[own]
    targets = made.rows["target_camid"] if "target_camid" in made.rows.columns else pl.Series([None] * len(made))
    if targets.null_count():
        raise DataError(
            "Generated crops have no target camera.",
            got=f"{targets.null_count():,} of {len(made):,} without target_camid",
            allowed="crops of generate translate",
            fix=option(generated_camera="parent"),
        )
    return targets.to_numpy().astype(np.int64)


def _no_parent(table: ReidTable, row: int, why: str) -> DataError:
    name, parent = table.rows["file_name"][row], table.rows["parent"][row]
    return DataError(
        f"Generated crops that {why} need a parent in the train split of the real table.",
        got=f"{name} with parent {parent}",
        allowed="a parent that is a file_name there",
        fix=f"the table that they were made from; or {option(generated_use='all:cluster:0-')} "
        f"{option(generated_camera='own')}",
    )
