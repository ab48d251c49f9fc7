import numpy as np
import pytest
import torch
from torch.nn import functional

from reidgen.errors import WeightsError
from reidgen.models.detector.darknet import Darknet
from reidgen.models.detector.darknet_cfg import parse_cfg
from reidgen.models.detector.yolov4_tiny import yolov4_tiny_cfg
from tests.darknet_files import small_cfg, weight_bytes, write_darknet

OPENCV_CUTOFF = 0.2  # its importer sets class scores below the cfg's `thresh`, if absent this, to 0

MANY_LAYERS = """
[net]
width=96          # wider than high
height=64
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=mish
[convolutional]
batch_normalize=1
filters=8
size=1
stride=1
pad=1
activation=swish
[shortcut]
from=-2
activation=linear
[maxpool]
size=2
stride=1
[maxpool]
size=5
stride=1
[route]
layers=-1,-2
[maxpool]
size=3
stride=2
[route]
layers=-1
groups=4
group_id=3
[convolutional]
filters=6
size=3
stride=1
padding=1
activation=relu
[route]
layers=-1,-3
[convolutional]
batch_normalize=1
filters=14
groups=2
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=16
size=1
activation=linear
[yolo]
mask=2,0
anchors=10,14, 23,27, 37,58
classes=3
num=3
scale_x_y=1.2
thresh=0.0
[route]
layers=-2
[upsample]
stride=2
[convolutional]
filters=8
size=3
pad=1
activation=logistic
[convolutional]
filters=8
size=1
activation=linear
[yolo]
mask=1
anchors=10,14, 23,27, 37,58
classes=3
num=3
thresh=0.0
"""


def opencv_rows(path, images):
    cv2 = pytest.importorskip("cv2", reason="the extra `detect` is not installed")
    network = cv2.dnn.readNetFromDarknet(str(path.with_suffix(".cfg")), str(path))
    network.setInput(images)
    rows = network.forward(network.getUnconnectedOutLayersNames())
    return np.concatenate([np.reshape(part, (len(images), -1, part.shape[-1])) for part in rows], axis=1)


def our_rows(path, images):
    network = Darknet(path.with_suffix(".cfg").read_text()).eval()
    network.load_weights(path.read_bytes())
    with torch.inference_mode():
        rows = network.boxes(torch.from_numpy(images)).numpy()
    return np.concatenate([rows[..., :5], rows[..., 5:] * rows[..., 4:5]], axis=-1)


def test_yolov4_tiny_gives_opencvs_boxes_and_scores(tmp_path):
    cfg = yolov4_tiny_cfg()
    path = write_darknet(tmp_path, cfg)
    images = np.random.default_rng(1).random((1, 3, 416, 416), np.float32)
    ours, theirs = our_rows(path, images), opencv_rows(path, images)
    assert ours.shape == theirs.shape == (1, 3 * (13 * 13 + 26 * 26), 85)
    assert ours[..., 5:].std() > 0.05  # they are not constants
    np.testing.assert_allclose(ours[..., :5], theirs[..., :5], atol=1e-4)
    scores = ours[..., 5:]
    clear = np.abs(scores - OPENCV_CUTOFF) > 1e-4
    np.testing.assert_allclose((scores * (scores > OPENCV_CUTOFF))[clear], theirs[..., 5:][clear], atol=1e-4)
    path.with_suffix(".cfg").write_text(cfg.replace("[yolo]\n", "[yolo]\nthresh=0.0\n"))
    np.testing.assert_allclose(ours, opencv_rows(path, images), atol=1e-4)


def test_every_layer_computes_what_opencv_computes(tmp_path):
    path = write_darknet(tmp_path, MANY_LAYERS)
    images = np.random.default_rng(2).random((3, 3, 64, 96), np.float32)
    ours, theirs = our_rows(path, images), opencv_rows(path, images)
    assert ours.std(axis=1).min() > 1e-3
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_box_by_hand():
    network = Darknet(small_cfg(classes=1))
    values = torch.zeros(1, 12, 4, 4)
    values[0, 6:12, 3, 1] = torch.tensor([0.0, 1.0, 0.5, -0.5, 2.0, -2.0])  # second anchor, row 3, column 1
    box = network.heads[0].decode(values, (64, 64))[0, (3 * 4 + 1) * 2 + 1]
    sigmoid = 1 / (1 + np.exp([-1.0, -2.0, 2.0]))
    expected = [1.5 / 4, (3 + sigmoid[0]) / 4, 40 * np.exp(0.5) / 64, 60 * np.exp(-0.5) / 64, sigmoid[1], sigmoid[2]]
    np.testing.assert_allclose(box, expected, rtol=1e-5)


def test_batch_normalisation_is_folded():
    cfg = small_cfg()
    network = Darknet(cfg)
    data = weight_bytes(cfg)
    network.load_weights(data)
    bias, scale, mean, var, *_ = torch.from_numpy(np.frombuffer(data, "<f4", offset=20)[: 4 * 8].copy()).split(8)
    kernels = torch.from_numpy(np.frombuffer(data, "<f4", offset=20)[32 : 32 + 216].copy()).view(8, 3, 3, 3)
    x = torch.rand(2, 3, 64, 64)
    plain = functional.conv2d(x, kernels, stride=4, padding=1)
    normed = functional.batch_norm(plain, mean, var, scale, bias, eps=1e-6)
    expected = functional.leaky_relu(normed, 0.1)
    torch.testing.assert_close(network.layers[0](x, []), expected, atol=1e-5, rtol=1e-4)


def test_a_batch_gives_what_its_images_give():
    network = Darknet(MANY_LAYERS)
    network.load_weights(weight_bytes(MANY_LAYERS))
    images = torch.rand(5, 3, 64, 96)
    with torch.inference_mode():
        alone = torch.cat([network.boxes(images[i : i + 1]) for i in range(5)])
        torch.testing.assert_close(network.boxes(images), alone, atol=1e-5, rtol=1e-4)


def test_the_old_header_is_four_bytes_shorter():
    cfg = small_cfg()
    old, new = weight_bytes(cfg, version=(0, 1, 0)), weight_bytes(cfg)
    assert len(old) == len(new) - 4
    networks = Darknet(cfg), Darknet(cfg)
    for network, data in zip(networks, (old, new), strict=True):
        network.load_weights(data)
    assert torch.equal(networks[0].convolutions[1].conv.weight, networks[1].convolutions[1].conv.weight)


def test_the_published_file_has_the_size_of_our_description():
    assert len(weight_bytes(yolov4_tiny_cfg())) == 24_251_276


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-4], "truncated"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[:10], "truncated"),
        (lambda data: b"", "truncated"),
        (lambda data: data + bytes(4), "too long for this cfg"),
        (lambda data: np.array([2000], "<i4").tobytes() + data[4:], "no supported version"),
        (lambda data: data[:-4] + np.array([np.nan], "<f4").tobytes(), "damaged: convolution 2 of 2"),
        (lambda data: data[: 20 + 96] + np.array([-1], "<f4").tobytes() + data[20 + 100 :], "damaged: convolution 1"),
    ],
)
def test_weight_files_that_cannot_be_used_are_told(change, message):
    cfg = small_cfg()
    with pytest.raises(WeightsError, match=message):
        Darknet(cfg).load_weights(change(weight_bytes(cfg)))


def test_a_truncated_file_word_for_word():
    cfg = small_cfg()
    with pytest.raises(WeightsError) as error:
        Darknet(cfg).load_weights(weight_bytes(cfg)[:1000])
    assert str(error.value) == (
        "The weight file is truncated.\n"
        "  got: 1,000 bytes\n"
        "  allowed: 5,684 bytes: a header of 20 and 1,416 numbers\n"
        "  try: download the file again, or give the cfg that belongs to it"
    )


def test_unsupported_layers_are_named_all_at_once():
    cfg = small_cfg().replace("[yolo]", "[crnn]\nsize=3\n[yolo]").replace("activation=linear", "activation=stan")
    cfg = cfg.replace("stride=4\n", "stride=4\ndilation=2\n", 1).replace("num=3", "num=3\nnew_coords=1")
    with pytest.raises(WeightsError, match="not supported") as error:
        parse_cfg(cfg)
    assert error.value.got == (
        "[convolutional] in line 5 with dilation=2; [convolutional] in line 13 with activation=stan; "
        "[crnn] in line 19; [yolo] in line 21 with new_coords=1"
    )


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("", "does not begin with its network"),
        ("[convolutional]\nfilters=3", "does not begin with its network"),
        ("width=3", "Line 1 of the cfg cannot be read"),
        (small_cfg().replace("filters=8", "filters"), "Line 7 of the cfg cannot be read"),
        (small_cfg().replace("filters=8", "filters=many"), "no usable filters"),
        (small_cfg().replace("width=64", ""), "no usable width"),
        (small_cfg().replace("width=64", "width=64\nchannels=1"), "no usable channels"),
        (small_cfg().replace("anchors=20,40", "anchors=a,40"), "no usable anchors"),
        (small_cfg().replace("mask=0,1", "mask=0,3"), "no usable mask"),
        (small_cfg().replace("filters=16", "filters=17"), "no usable map to read"),
        (small_cfg().replace("[yolo]", "[route]\nlayers=-3\n[yolo]"), "no usable layers"),
        (small_cfg().replace("[yolo]", "[route]\nlayers=-1\ngroups=3\n[yolo]"), "no usable groups"),
        (small_cfg().replace("[yolo]", "[shortcut]\nfrom=-2\n[yolo]"), "no usable from"),
        (small_cfg().split("[yolo]")[0], "describes no detector"),
        ("[net]\nheight=64\nwidth=64\n[maxpool]\nsize=2", "first layer is not a convolution"),
        (small_cfg().replace("height=64", "height=0"), "no usable size"),
        (small_cfg().replace("stride=4", "stride=0", 1), "no usable shape"),
        (yolov4_tiny_cfg(size=(400, 416)), "maps do not fit each other"),
        (small_cfg(size=(2, 2)).replace("[yolo]", "[maxpool]\nsize=9\npadding=0\n[yolo]"), "do not fit each other"),
    ],
)
def test_cfg_files_that_make_no_sense_are_told(cfg, message):
    with pytest.raises(WeightsError, match=message):
        Darknet(cfg)


def test_maps_that_nobody_reads_any_more_are_freed():
    network = Darknet(yolov4_tiny_cfg(classes=1, size=(64, 64)))
    last = network._last_use
    assert last[23] == 34  # the third block's 1x1 convolution waits for the second head
    assert last[2] == 8  # route -6 of the first block
    assert last[4] == 6
