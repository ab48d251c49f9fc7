import numpy as np
import polars as pl
import pytest
import torch

from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.errors import DataError
from reidgen.generators.views.structures import (
    SIGMA,
    Structures,
    heat_maps,
    shapes_of,
    with_structures,
    without_colours,
)
from tests.generators.views.conftest import ANGLES, SIZE


def opened(table, kind):
    crops = CropStore.open(table, size=SIZE)
    return Structures.open(table, kind, size=SIZE, angles=(0, *ANGLES), crops=crops)


def test_heat_maps_by_a_loop():
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-2, 10, (17, 2)), rng.integers(0, 3, 17)])
    maps = heat_maps(torch.from_numpy(points)[None].float(), (12, 8))[0]
    for k, (x, y, seen) in enumerate(points):
        for row in range(12):
            for column in range(8):
                apart = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2
                bell = np.exp(-apart / (2 * (SIGMA * 12) ** 2)) if seen else 0
                assert maps[k, row, column] == pytest.approx(2 * bell - 1, abs=1e-5)  # float32


def test_grey_has_the_eyes_weights():
    crops = torch.tensor([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255], dtype=torch.uint8).view(4, 3, 1, 1)
    assert without_colours(crops).flatten().tolist() == pytest.approx([2 * w - 1 for w in (0.299, 0.587, 0.114, 1)])


def test_each_row_gets_the_mesh_of_its_own_angle(people):
    structures = opened(people, "mesh")
    rows, angles = np.array([3, 0, 3, 5]), np.array([90, 0, 180, 90])
    batch = structures.batch(rows, angles)
    for out, row, angle in zip(batch, rows, angles, strict=True):
        alone = structures.batch(np.array([row]), np.array([angle]))[0]
        assert torch.equal(out, alone)
        own = structures.batch(np.array([row]), np.array([0]))[0]
        assert torch.equal(out, own.roll(angle // 90, dims=2))
    assert (batch.min(), batch.max()) == (-1, 1)


@pytest.mark.parametrize(("kind", "planes"), [("mesh", 1), ("grey", 1), ("pose", 17)])
def test_planes_of_each_kind(people, kind, planes):
    assert opened(people, kind).batch(np.arange(3), np.zeros(3)).shape == (3, planes, *SIZE)


@pytest.mark.parametrize(("kind", "column"), [("mesh", "mesh_90"), ("pose", "keypoints")])
def test_crops_without_a_structure_are_left_out_and_told(people, kind, column, capsys):
    emptied = pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise(pl.col(column)).alias(column)
    kept = with_structures(ReidTable(people.rows.with_columns(emptied)), kind, (0, 90), whose="it")
    assert len(kept) == len(people) - 3
    assert f"3 of {len(people)} crops lack" in capsys.readouterr().err
    for table in (ReidTable(people.rows.drop(column)), ReidTable(people.rows.with_columns(pl.lit(None).alias(column)))):
        with pytest.raises(DataError, match=f"has no .*{column}.*, which it needs") as error:
            with_structures(table, kind, (0, 90), whose="it")
        assert "reidgen annotate" in error.value.fix


def test_shapes_follow_what_is_in_the_files(people):
    for kind in ("mesh", "grey", "pose"):
        shapes = shapes_of(people, kind, 0)
        assert len(set(shapes)) > 1 and shapes == shapes_of(people, kind, 0)
    assert shapes_of(people, "mesh", 0) != shapes_of(people, "mesh", 90)
