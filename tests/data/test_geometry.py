import polars as pl
import pytest
import torch

from reidgen.config import AugmentConfig, PrepareConfig
from reidgen.data.augment import draw, move_masks, move_points
from reidgen.data.augment.geometry import MIRRORED_POINTS, move
from reidgen.data.pixels.images import read_size
from reidgen.data.pixels.maps import open_masks, read_points
from reidgen.data.prepare import prepare
from reidgen.data.readers.load import SAMPLE
from reidgen.data.table import ReidTable
from reidgen.errors import DataError
from reidgen.extend import extend

SIZE = (20, 12)


def drawn(config, count=64):
    return draw(count, SIZE, config, torch.Generator().manual_seed(5))


@pytest.mark.parametrize("config", [AugmentConfig(flip=0.5, pad=4), AugmentConfig(flip=0.5, pad=2, translate=0.5)])
def test_a_mask_moves_as_the_crop_that_it_belongs_to(config):
    """A mask that is put into the crop as a colour comes out of the crop's own way."""
    masks = torch.zeros(64, 1, *SIZE, dtype=torch.uint8)
    masks[:, :, 5:15, 3:8] = 255
    draws = drawn(config)
    crops = masks.permute(0, 2, 3, 1).repeat(1, 1, 1, 3)
    moved = move(crops, draws, config).float().round()
    assert torch.equal(move_masks(masks, draws, config)[:, 0].float(), moved[..., 0])


def test_points_move_with_the_pixel_that_they_are_on():
    config = AugmentConfig(flip=0.5, pad=4)
    draws = drawn(config)
    places = torch.Generator().manual_seed(1)
    rows = torch.randint(0, SIZE[0], (64, 17), generator=places)
    columns = torch.randint(0, SIZE[1], (64, 17), generator=places)
    points = torch.stack([columns + 0.5, rows + 0.5, torch.full((64, 17), 2.0)], dim=2)
    moved = move_points(points, draws, config, size=SIZE)
    for number in range(17):
        crops = torch.zeros(64, *SIZE, 1, dtype=torch.uint8)
        crops[torch.arange(64), rows[:, number], columns[:, number]] = 255
        pixels = move(crops, draws, config)
        for i in range(64):
            place = MIRRORED_POINTS[number] if draws.flip[i] else number
            x, y, seen = moved[i, place].tolist()
            found = pixels[i, :, :, 0].nonzero().tolist()
            assert (seen > 0) == bool(found)
            assert not found or found == [[int(y), int(x)]]


def test_points_of_a_translated_crop_lie_on_the_enlarged_one():
    config = AugmentConfig(flip=0.0, pad=0, translate=1.0)
    draws = drawn(config, 8)
    points = torch.tensor([[6.0, 10.0, 2.0]]).repeat(8, 17, 1)  # the middle of the crop
    moved = move_points(points, draws, config, size=SIZE)
    tall, wide = round(20 * 1.125), round(12 * 1.125)
    for i in range(8):
        top, left = draws.translate[i].tolist()
        assert moved[i, 0].tolist() == pytest.approx([wide / 2 - left, tall / 2 - top, 2.0])


def test_mirroring_twice_changes_no_point():
    assert [MIRRORED_POINTS[MIRRORED_POINTS[i]] for i in range(17)] == list(range(17))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    table = prepare(PrepareConfig(dataset="reidgen"), root=SAMPLE, out=folder / "all")
    return table.take(range(6)).write(folder / "six")


@pytest.fixture(scope="module")
def marked(people):
    """The same crops with 17 points each that lie on the mask."""
    size = read_size(people.paths[0])
    masks = open_masks(people, size).batch(range(6))[:, 0]
    lists = []
    for mask in masks:
        rows, columns = (mask > 0).nonzero(as_tuple=True)
        chosen = torch.linspace(0, len(rows) - 1, 17).long()
        lists.append(
            torch.stack([columns[chosen] + 0.5, rows[chosen] + 0.5, torch.full((17,), 2.0)], dim=1).flatten().tolist()
        )
    return ReidTable(people.rows.with_columns(keypoints=pl.Series(lists, dtype=pl.List(pl.Float64))))


@pytest.mark.parametrize("scale", [1, 2])
def test_points_lie_on_the_mask_at_any_size(marked, scale):
    height, width = read_size(marked.paths[0])
    size = (height * scale, width * scale)
    masks = open_masks(marked, size).batch(range(6))[:, 0]
    points = read_points(marked, size)
    on = [masks[i, int(y), int(x)].item() >= 100 for i in range(6) for x, y, _ in points[i].tolist()]
    assert sum(on) / len(on) > 0.9  # resizing blurs the outline, on which some of them lie


def test_maps_travel_through_extend(people, tmp_path):
    rows = people.rows.with_columns(split=pl.lit("train"), origin=pl.lit("rendered"))
    added = ReidTable(rows, "made")
    table = extend(people, added, out=tmp_path)
    assert table.rows["mask"].null_count() == 0
    files = [tmp_path / mask for mask in table.rows["mask"]]
    assert len(set(files)) == len(table) == 12
    originals = [*people.rows["mask"], *people.rows["mask"]]
    for file, name in zip(files, originals, strict=True):
        assert file.read_bytes() == (people.paths[0].parents[1] / name).read_bytes()


def test_a_crop_without_points_is_named(people):
    lacking = ReidTable(people.rows.with_columns(keypoints=pl.lit(None, dtype=pl.List(pl.Float64))))
    with pytest.raises(DataError, match=r"has no key points\.\n  got: none"):
        read_points(lacking, (64, 32))
