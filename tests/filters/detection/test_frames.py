import numpy as np
import pytest
import torch

from reidgen.filters.detection.frames import BORDER, LETTERBOX, Frame

CPU = torch.device("cpu")


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("size", [(128, 64), (64, 32), (256, 128), (61, 47)])
@pytest.mark.parametrize("padding", [0, 1, 150])
def test_the_frame_is_what_opencv_makes_of_the_crop(size, padding):
    cv2 = pytest.importorskip("cv2", reason="the extra `detect` is not installed")
    crops = noise((2, *size, 3))
    frame = Frame.around(size, (416, 416), padding=padding, fit="stretch")
    ours = frame.pictures(crops, CPU).numpy()
    for crop, picture in zip(crops, ours, strict=True):
        edges = [padding] * 4
        bordered = cv2.copyMakeBorder(crop[..., ::-1], *edges, cv2.BORDER_CONSTANT, value=(101, 52, 152))
        blob = cv2.dnn.blobFromImage(bordered, 1 / 255, (416, 416), swapRB=True, crop=False)[0] * 255
        np.testing.assert_array_equal(picture, np.rint(blob))


def test_letterbox_keeps_the_shape_and_centres():
    frame = Frame.around((20, 10), (64, 64), padding=0, fit="letterbox")
    picture = frame.pictures(np.full((1, 20, 10, 3), 7, np.uint8), CPU)[0].permute(1, 2, 0)
    assert (picture[:, 16:48] == 7).all()
    for side in (picture[:, :16], picture[:, 48:]):
        assert (side == torch.tensor(LETTERBOX)).all()


def test_the_border_is_around_the_crop():
    frame = Frame.around((8, 8), (32, 32), padding=4, fit="stretch")
    picture = frame.pictures(np.full((1, 8, 8, 3), 200, np.uint8), CPU)[0].permute(1, 2, 0)
    assert (picture[:7] == torch.tensor(BORDER)).all()
    assert (picture[:, 25:] == torch.tensor(BORDER)).all()
    assert (picture[9:23, 9:23] == 200).all()


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_boxes_come_back_to_where_the_crop_has_them(fit):
    size, padding = (40, 20), 30
    frame = Frame.around(size, (416, 320), padding=padding, fit=fit)
    crop = np.zeros((1, *size, 3), np.uint8)
    crop[0, 10:26, 5:13] = 255
    picture = frame.pictures(crop, CPU)[0, 1].numpy()
    ys, xs = np.where(picture > 128 + 20)  # the white box alone is brighter than border and crop
    box = np.array([[(xs.min() + xs.max() + 1) / 2, (ys.min() + ys.max() + 1) / 2, np.ptp(xs) + 1, np.ptp(ys) + 1]])
    np.testing.assert_allclose(frame.to_crop(box), [[5, 10, 8, 16]], atol=0.5)


def test_a_batch_gives_what_its_crops_give():
    frame = Frame.around((32, 16), (96, 96), padding=10, fit="stretch")
    crops = noise((3, 32, 16, 3))
    alone = torch.cat([frame.pictures(crops[i : i + 1], CPU) for i in range(3)])
    assert torch.equal(frame.pictures(crops, CPU), alone)
