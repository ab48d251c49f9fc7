import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from reidgen.render.cameras import sample_camera
from reidgen.render.crops import Box, detector_box, develop, jpeg, normal_map, part_map, png, to_pixels, tone

PERSON = np.array([[-0.02, -0.1], [0.03, 0.1], [0.0, 0.0]], np.float32)
BOX = Box(-0.05, 0.05, 0.1, -0.1)


def test_boxes_are_loose_but_hold_most_of_the_person():
    boxes = [detector_box(PERSON, 0.5, 1.0, np.random.default_rng(s)) for s in range(400)]
    cover = np.array([(min(b.top, 0.1) - max(b.bottom, -0.1)) / 0.2 for b in boxes])
    assert (cover > 0.7).all() and np.median(cover) > 0.98
    assert 0.01 < np.mean([b.bottom > -0.09 for b in boxes]) < 0.2  # sometimes the feet are cut
    assert np.std([b.top for b in boxes]) > 0.001
    ratios = np.array([(b.right - b.left) / (b.top - b.bottom) for b in boxes])
    assert (ratios > 0.25).all() and (ratios < 0.7).all()


def test_a_wide_pose_gets_a_wide_box():
    wide = PERSON * np.array([6, 1], np.float32)
    for seed in range(50):
        box = detector_box(wide, 0.5, 1.0, np.random.default_rng(seed))
        assert box.right - box.left > 0.3


def test_to_pixels_by_hand():
    corners = np.array([[-0.05, 0.1], [0.05, -0.1], [0.0, 0.05]], np.float32)
    assert to_pixels(BOX, corners, (128, 64)) == pytest.approx(np.array([[0, 0], [64, 128], [32, 32]]), abs=1e-4)


def test_tone_is_monotone_within_display_range_and_gamma_in_the_dark():
    light = np.linspace(0, 5, 200, dtype=np.float32)
    out = tone(light)
    assert (np.diff(out) >= 0).all() and out[0] == 0 and out[-1] <= 1
    assert tone(np.float32([0.2]))[0] == pytest.approx(0.2 ** (1 / 2.2), rel=1e-5)


def test_developing_repeats_and_brightens_with_exposure():
    camera = sample_camera(np.random.default_rng(1))
    light = np.random.default_rng(0).uniform(0, 0.5, (32, 16, 3)).astype(np.float32)
    a, b = (develop(light, camera, BOX, np.random.default_rng(9)) for _ in range(2))
    bright = develop(light, replace(camera, exposure=2 * camera.exposure), BOX, np.random.default_rng(9))
    assert a.dtype == np.uint8 and a.shape == (32, 16, 3)
    assert (a == b).all() and bright.mean() > a.mean() + 5


def test_far_people_are_blurred():
    camera = replace(sample_camera(np.random.default_rng(1)), noise=0.0, sharpen=0.0, motion=0.0, blur=0.2)
    light = np.tile(np.float32([0.1, 0.5]), (128, 32))[..., None].repeat(3, 2)
    near, far = (develop(light, replace(camera, focal=f), BOX, np.random.default_rng(0)) for f in (5000, 200))
    assert far.astype(float).std() < 0.5 * near.astype(float).std()


def test_part_map_takes_the_commonest_sample():
    samples = np.array([[[255, 255, 255, 3], [3, 3, 3, 5]], [[0, 0, 255, 0], [255, 255, 7, 7]]], np.uint8)
    assert part_map(samples, 11).tolist() == [[0, 4], [1, 0]]


def test_normal_map_by_hand():
    normals = np.array([[[0, 0, 4.0], [2.0, 0, 0]]], np.float32)
    out = normal_map(normals, np.array([[True, False]]))
    assert out.tolist() == [[[128, 128, 255], [0, 0, 0]]]


def test_files_hold_what_was_put_in():
    pixels = np.random.default_rng(0).integers(0, 255, (16, 8), np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(png(pixels)))) == pixels).all()
    image = Image.open(io.BytesIO(jpeg(np.full((16, 8, 3), 90, np.uint8), 90)))
    assert image.size == (8, 16) and np.abs(np.asarray(image).astype(int) - 90).max() <= 2
