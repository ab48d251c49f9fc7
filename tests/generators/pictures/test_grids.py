import dataclasses

import numpy as np
import pytest
from PIL import Image

from reidgen.config import GenerateConfig, GridConfig
from reidgen.errors import ConfigError, RunError
from reidgen.generators.people.people import plan_crop, render
from reidgen.generators.pictures.grids import Block, generate_grid, stack


def picture(path):
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def holds(picture, crop):
    """Whether a crop stands somewhere in a picture."""
    height, width, _ = crop.shape
    corners = np.argwhere((picture[: 1 - height or None, : 1 - width or None] == crop[0, 0]).all(axis=2))
    return any(np.array_equal(picture[y : y + height, x : x + width], crop) for y, x in corners)


def crop(gan, person, variant=0, *, layers=(), psi=1.0):
    return render(gan, [plan_crop(gan, GenerateConfig(), layers, person=person, variant=variant)], psi=psi)[0]


def test_people_and_their_variants_are_those_of_generate_people(gan, tmp_path):
    path = generate_grid(gan, rows=2, columns=4, mix=("coarse", "fine"), device="cpu", out=tmp_path)
    seen, layers = picture(path), [(0, 1, 2), (5,)]
    for person in (1, 2):
        assert all(holds(seen, crop(gan, person, variant, layers=layers)) for variant in range(4))
    assert not holds(seen, crop(gan, 3))
    assert not holds(seen, crop(gan, 1, 4, layers=layers))


def test_mixing_tables(gan, tmp_path):
    seen = picture(generate_grid(gan, show="mixing", rows=2, columns=2, person=3, device="cpu", out=tmp_path))
    donor = plan_crop(gan, GenerateConfig(), [], person=6, variant=0).w
    assert all(holds(seen, crop(gan, person)) for person in (3, 4, 5, 6))
    own = plan_crop(gan, GenerateConfig(), [], person=4, variant=0)
    for layers in ((0, 1, 2), (3, 4), (5,)):
        mixed = dataclasses.replace(own, layers=layers, donor=donor)
        assert holds(seen, render(gan, [mixed], psi=1.0)[0])


def test_truncation(gan, tmp_path):
    seen = picture(generate_grid(gan, show="truncation", rows=1, columns=3, device="cpu", out=tmp_path))
    assert all(holds(seen, crop(gan, 1, psi=psi)) for psi in (0.0, 0.5, 1.0))


@pytest.mark.parametrize(("kind", "show"), [("stylegan3-t", "mixing"), ("stylegan3-r", "variants")])
def test_every_network(kind, show, untrained, tmp_path):
    options = {"rows": 1, "columns": 3, "mix": ("sources-coarse", "sources-medium", "sources-fine")}
    seen = picture(generate_grid(untrained[kind], show=show, **options, device="cpu", out=tmp_path))
    assert holds(seen, crop(untrained[kind], 1))


def test_one_w(untrained, tmp_path):
    with pytest.raises(ConfigError, match="one w makes the whole image"):
        generate_grid(untrained["dcgan"], out=tmp_path)
    seen = picture(generate_grid(untrained["dcgan"], rows=1, columns=2, mix="all", weight=0.5, out=tmp_path))
    assert holds(seen, crop(untrained["dcgan"], 1))


def test_the_same_command_again(gan, tmp_path):
    path = generate_grid(gan, rows=1, columns=2, device="cpu", out=tmp_path)
    stamp = path.stat().st_mtime_ns
    assert generate_grid(gan, rows=1, columns=2, device="cpu", out=tmp_path).stat().st_mtime_ns == stamp
    with pytest.raises(RunError, match="holds another run"):
        generate_grid(gan, rows=2, columns=2, device="cpu", out=tmp_path)
    with pytest.raises(ConfigError, match="columns"):
        GridConfig(show="truncation", columns=1)


def test_labels_stand_beside_the_cells_and_never_on_them():
    cells = np.full((2, 3, 8, 6, 3), 120, np.uint8)
    seen = stack(
        [Block(cells, "a title that is wider than the table", ["1", "22"], ["own", "mixed", "mixed"])], scale=2
    )
    grey = (seen == 120).all(axis=2)
    assert grey.sum() >= 2 * 3 * 8 * 6 * 4
    rows, columns = np.flatnonzero(grey.sum(axis=1) > 20), np.flatnonzero(grey.sum(axis=0) > 10)
    assert len(rows) == 2 * 8 * 2
    assert len(columns) == 3 * 6 * 2
    inside = seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert set(np.unique(inside)) == {120, 255}
    assert (seen[: rows[0]] < 100).any()
    assert (seen[rows[0] :, : columns[0]] < 100).any()


def test_blocks_stand_below_one_another():
    small = Block(np.zeros((1, 1, 4, 4, 3), np.uint8), "x", [""], [""])
    large = Block(np.zeros((1, 9, 4, 40, 3), np.uint8), "y", [""], [""] * 9)
    alone, both = stack([large]), stack([small, large])
    assert both.shape[1] == alone.shape[1]
    assert np.array_equal(both[-alone.shape[0] :], alone)
