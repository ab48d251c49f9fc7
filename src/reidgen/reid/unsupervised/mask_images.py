"""Pictures of the crops' people without background, and features that are weighted means of both."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from reidgen.config import UnsupervisedConfig
from reidgen.config.reid.ways import VIEW
from reidgen.data.pixels.maps import LEAST_BRIGHT, open_masks
from reidgen.data.pixels.store import CropStore
from reidgen.data.schema import SHOWN
from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import Fabric, sum_gradients
from reidgen.errors import DataError, option, say
from reidgen.files import sha256
from reidgen.models.reid.part_embedder import Parted
from reidgen.reid.supervised.recipe import optimizer_of, set_learning_rate

STANDS = pl.col("operation").fill_null("").str.starts_with(f"{VIEW.format(0)}structure=mesh ")  # as its own body does
OF_BODY = "mesh_0"  # a grey picture of the crop's body: 0 beside it
SHOWS = {"mask": "a mask", "mesh": "a picture of the body", "standing": "a picture of the body and a crop made of it"}
MAKES = {
    "mask": "reidgen annotate --data DIR --what mask --out DIR",
    "mesh": "reidgen annotate --data DIR --what body mesh --out DIR",
    "standing": "reidgen generate rotate --rotator DIR --data DIR --angles 0 --out DIR",
}


@dataclass(frozen=True, eq=False)
class MaskTables:
    """The files that the mask images of real crops are made of.

    Attributes:
        places: int64 (real,), row of each crop in the tables; -1 where the whole crop is its mask image.
        pictures: What shows the person; None: the crops.
        shapes: Real crops with a file that says where the person is.
        column: Of that file: mask, or mesh_0.
    """

    places: np.ndarray
    pictures: ReidTable | None
    shapes: ReidTable
    column: str

    @classmethod
    def of(cls, real: ReidTable, generated: ReidTable, config: UnsupervisedConfig) -> "MaskTables":
        """Those that `mesh_image` names; the pictures of "standing" are among the generated crops.

        Raises:
            DataError: Real crops have none and `mesh_missing` does not allow it, or none has.
        """
        column = "mask" if config.mesh_image == "mask" else OF_BODY
        has = np.zeros(len(real), bool)
        if column in real.rows.columns:
            has = real.rows[column].is_not_null().to_numpy()
        pictures = None
        if config.standing:
            made = generated.where(STANDS)
            rows = {parent: row for row, parent in reversed([*enumerate(made.rows["parent"])])}
            own = np.array([rows.get(name, -1) for name in real.rows["file_name"]])
            has = has & (own >= 0)
            pictures = made.take(own[has])
        _check_missing(real, has, config)
        return cls(np.where(has, has.cumsum() - 1, -1), pictures, real.where(has), column)

    def hash(self) -> str:
        """SHA-256 of all that the mask images hang on.

        Raises:
            DataError: A file is missing.
        """
        tables = [self._files(), *([] if self.pictures is None else [self.pictures])]
        return sha256([self.places.tobytes(), self.column.encode(), *(table.hash().encode() for table in tables)])

    def open(self, store: CropStore) -> "MaskImages":
        """Decode them at the size of the decoded crops.

        Raises:
            DataError: A file cannot be read, or a mask does not fit its crop.
        """
        size, whole = store.size, np.full(len(store) - len(self.places), -1)
        pictures = None if self.pictures is None else CropStore.open(self.pictures, size=size).to(store.device)
        masks = self.column == "mask"
        shapes = open_masks(self.shapes, size).store if masks else CropStore.open(self._files(), size=size)
        least = LEAST_BRIGHT if masks else 1
        return MaskImages(store, pictures, shapes.to(store.device), np.concatenate([self.places, whole]), least)

    def _files(self) -> ReidTable:
        """The files of the shapes, as if they were crops."""
        rows = self.shapes.rows.drop(SHOWN, strict=False).with_columns(file_name=pl.col(self.column))
        return dataclasses.replace(self.shapes, rows=rows)


def _check_missing(real: ReidTable, has: np.ndarray, config: UnsupervisedConfig) -> None:
    missing = int((~has).sum())
    told = f"{missing:,} of {len(real):,} crops have no mask image"
    if missing and config.mesh_missing == "crop" and has.any():
        say(f"{told}; the whole crop is taken for it.")
    elif missing:
        whole = f"; or {option(mesh_missing='crop')}" if has.any() else ""
        raise DataError(
            f"{option('mesh_image')} {config.mesh_image} needs {SHOWS[config.mesh_image]} of each crop.",
            got=f"{told}, such as {real.rows['file_name'][int(np.argmin(has))]}",
            allowed=SHOWS[config.mesh_image],
            fix=MAKES[config.mesh_image] + whole,
        )


@dataclass(frozen=True, eq=False)
class MaskImages:
    """The crops' people without background; the whole crop where `places` has none.

    Attributes:
        crops: All N crops.
        pictures: What shows the people in place of the crops, a row a shape; None: the crops.
        shapes: Where the people are.
        places: int64 (N,), row of each crop in the shapes; -1 for none.
        least: Of a shape that counts as person.
    """

    crops: CropStore
    pictures: CropStore | None
    shapes: CropStore
    places: np.ndarray
    least: int

    def batch(self, rows: np.ndarray) -> Tensor:
        """Those of some crops: uint8 (B, 3, H, W), 0 beside the person, on the device of the crops."""
        images, places = self.crops.batch(rows), self.places[rows]
        has = np.flatnonzero(places >= 0)
        seen = images[has] if self.pictures is None else self.pictures.batch(places[has])
        images[has] = seen * (self.shapes.batch(places[has])[:, :1] >= self.least)
        return images


class Combination:
    """Weighted means of the features of crops and of their mask images.

    Attributes:
        balance: Logarithm of the crop's weight over the mask image's, which a training may learn; it has no decay.
    """

    def __init__(self, config: UnsupervisedConfig, device: torch.device) -> None:
        crop, mask = config.mesh_weights
        balance = torch.tensor(math.log(crop / mask), device=device)
        self.balance = torch.nn.Parameter(balance, requires_grad=config.mesh == "learned")
        groups = [{"params": [self.balance], "scale": 1.0, "weight_decay": 0.0}]
        self.optimizer = optimizer_of(groups, config.as_reid())

    @property
    def share(self) -> float:
        """Of the crop in the sum of both weights, 0 to 1."""
        return self.balance.sigmoid().item()

    def __call__(self, out: Parted) -> Parted:
        """What the network says of N crops and then of their N mask images, as of N crops; float32."""
        share = self.balance.sigmoid()
        halves = (values.float().chunk(2) for values in out)
        return Parted(*(share * crops + (1 - share) * masks for crops, masks in halves))

    def step(self, lr: float, fabric: Fabric) -> None:
        """A step with the gradients that are there, of each process's crops, times the number of processes."""
        if self.balance.grad is None:
            return
        sum_gradients(fabric, [self.balance])
        self.balance.grad /= fabric.world_size
        set_learning_rate(self.optimizer, lr)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {"balance": self.balance.detach(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        with torch.no_grad():
            self.balance.copy_(state["balance"])
        self.optimizer.load_state_dict(state["optimizer"])
