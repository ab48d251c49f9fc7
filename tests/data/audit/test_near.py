import io
import itertools

import numpy as np
import pytest
from PIL import Image

from reidgen.data.audit import audit as room
from reidgen.data.audit.audit import audit
from reidgen.data.audit.near import BITS, CONTRAST, RMS, hashes, near_pairs, thumbnail
from tests.factories import make_table

FIELDS = (16, 9)


def picture(seed, *, size=(128, 64)):
    """Smooth colours, as crops have them."""
    fields = np.random.default_rng(seed).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    return Image.fromarray(fields).resize(size[::-1], Image.Resampling.BICUBIC)


def saved_again(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def slow_pairs(thumbnails):
    """Every two, one after the other."""
    found = []
    for i, j in itertools.combinations(range(len(thumbnails)), 2):
        one, other = (thumbnails[k].astype(float) - thumbnails[k].mean() for k in (i, j))
        bits = [
            [bool(row[x + 1].mean() > row[x].mean()) for row in thumbnails[k].astype(float) for x in range(8)]
            for k in (i, j)
        ]
        apart = sum(a != b for a, b in zip(*bits, strict=True))
        seen = min(one.std(), other.std()) >= CONTRAST
        if seen and np.sqrt(((one - other) ** 2).mean()) <= RMS and apart <= BITS:
            found.append([i, j])
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pairs_are_those_of_a_slow_loop(seed):
    draws = np.random.default_rng(seed)
    base = draws.integers(0, 256, (12, *FIELDS, 3)).astype(int)
    noise = draws.normal(0, 1, (36, *FIELDS, 3)) * np.linspace(0, 12, 36)[:, None, None, None]
    thumbnails = np.clip(np.tile(base, (3, 1, 1, 1)) + noise, 0, 255).astype(np.uint8)
    found = near_pairs(thumbnails).tolist()
    assert found == slow_pairs(thumbnails)
    assert 3 < len(found) < 36


def test_a_picture_saved_again_resized_or_brighter_is_nearly_the_same():
    one = picture(0)
    others = [
        saved_again(one, 50),
        one.resize((32, 64), Image.Resampling.BILINEAR),
        one.resize((128, 256), Image.Resampling.BICUBIC),
        one.point(lambda value: value * 0.9),
        picture(1),
        one.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ]
    pairs = near_pairs(np.stack([thumbnail(image) for image in (one, *others)])).tolist()
    assert [pair for pair in pairs if pair[0] == 0] == [[0, 1], [0, 2], [0, 3], [0, 4]]


def test_what_shows_nothing_is_near_nothing():
    flat = np.full((3, *FIELDS, 3), 128, dtype=np.uint8)
    assert near_pairs(flat).shape == (0, 2)
    assert near_pairs(flat[:0]).shape == (0, 2)
    assert hashes(flat).shape == (3, 16)


LABELS = [  # person, camera, split; what is odd where they show nearly one picture
    ((1, 1, "train"), (2, 1, "train"), {"near-duplicates of several people"}),
    ((1, 1, "train"), (1, 2, "train"), {"near-duplicates across cameras"}),
    ((1, 1, "train"), (1, 1, "train"), set()),
    ((1, 1, "train"), (1, 1, "gallery"), {"near-duplicates across train and test"}),
    ((2, 1, "query"), (2, 1, "gallery"), {"near-duplicates across query and gallery"}),
    (
        (1, 1, "train"),
        (2, 2, "query"),
        {
            "near-duplicates of several people",
            "near-duplicates across train and test",
            "near-duplicates across cameras",
        },
    ),
]


@pytest.mark.parametrize(("one", "other", "expected"), LABELS)
def test_what_is_odd_about_two_that_are_nearly_one(tmp_path, one, other, expected):
    pids, camids, splits = zip(one, other, (9, 1, "train"), strict=True)
    table = make_table(list(pids), list(camids), splits=list(splits), root=tmp_path)
    for number, (path, quality) in enumerate(zip(table.paths, (95, 60, 95), strict=True)):
        picture(number // 2).save(path, quality=quality)
    found = {one.what: one for one in audit(table).findings if one.what.startswith("near")}
    assert set(found) == expected
    files = tuple(table.rows["file_name"][:2])
    assert all(one.files == (" = ".join(files),) and one.reason.startswith("1 pair: ") for one in found.values())


def test_the_same_pixels_are_told_once(tmp_path):
    table = make_table([1, 2], splits=["train", "train"], root=tmp_path)
    for path in table.paths:
        picture(0).save(path, quality=95)
    whats = {one.what for one in audit(table).findings}
    assert "one picture of several people" in whats
    assert not [what for what in whats if what.startswith("near")]


def test_a_set_that_is_too_large_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "NEAR_AT_MOST", 1)
    table = make_table([1, 2], root=tmp_path)
    (found,) = [one for one in audit(table).findings if one.what.startswith("near")]
    assert (found.severity, found.reason) == ("note", "not looked for among more than 1 pictures")
