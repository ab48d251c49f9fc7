import numpy as np
import pytest

from reidgen.render.bodies import wardrobe
from reidgen.render.bodies.wardrobe import SLOTS, sample_outfit
from reidgen.render.clothes.materials import COLUMNS, Material, linear


def outfits(count):
    return [sample_outfit(np.random.default_rng([7, i])) for i in range(count)]


def test_equal_seeds_give_equal_people():
    a, b = (sample_outfit(np.random.default_rng(3)) for _ in range(2))
    assert a == b
    assert a != sample_outfit(np.random.default_rng(4))


def test_materials_are_one_row_per_slot_with_colours_a_surface_can_have():
    for outfit in outfits(60):
        rows = outfit.material_rows()
        assert rows.shape == (len(SLOTS), COLUMNS) and np.isfinite(rows).all()
        assert (rows[:, 1:10] >= 0).all() and (rows[:, 1:10] <= 1).all()


def test_a_material_row_keeps_the_order_that_the_kernel_reads():
    row = Material(kind=3, a=(0.1, 0.2, 0.3), size=0.07, strap=2, seed=11, strap_side=-1.0).row()
    assert row[0] == 3 and np.allclose(row[1:4], (0.1, 0.2, 0.3))
    assert row[10] == np.float32(0.07) and row[21] == 2 and row[28] == 11 and row[31] == -1


def test_linear_is_the_display_exponent():
    assert linear((255, 0, 128)) == pytest.approx((1, 0, (128 / 255) ** 2.2))


def test_people_differ_in_what_they_wear():
    people = outfits(200)
    looks = {
        (o.upper.cut, o.lower.cut, o.hair, o.bag, tuple(np.round(np.sqrt(o.materials["upper"].a), 1))) for o in people
    }
    assert len(looks) > 170
    assert {o.upper.cut for o in people} == set(wardrobe.UPPER_CUTS)
    assert {o.lower.cut for o in people} == {*wardrobe.LOWER_CUTS, "none"}
    assert {o.bag for o in people} == set(wardrobe.BAGS)


def test_a_dress_has_no_trousers_and_a_hood_needs_a_hooded_garment():
    for outfit in outfits(400):
        if outfit.upper.cut == "dress":
            assert outfit.lower.cut in ("none", "leggings")
        if outfit.hat == "hood":
            assert outfit.upper.collar == "hood"
        if outfit.inner:
            assert outfit.upper.open_front > 0


def test_upper_and_lower_can_mostly_be_told_apart():
    def apart(outfit):
        a, b = (np.sqrt(outfit.materials[s].a) for s in ("upper", "lower"))
        return np.abs(a - b).sum() > 0.3

    two_piece = [o for o in outfits(200) if o.lower.cut not in ("none", "jeans")]
    assert np.mean([apart(o) for o in two_piece]) > 0.75
