import numpy as np
import pytest
import torch

from reidgen.errors import ConfigError, WeightsError
from reidgen.filters import DetectorFilter
from reidgen.filters.detection.detector_onnx import DYNAMIC_SIZE, ONNXDetector, split_output
from tests.factories import make_table

onnx = pytest.importorskip("onnx", reason="the extra `dev` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `detect` is not installed")
SIZE, CLASSES = 32, 3


def write_onnx(path, *, layout, batch=1, size=SIZE, names=None, channels=3, outputs=1, seed=0):
    """A network of one convolution with stride 8, whose cells are boxes: box numbers x64, sigmoid of the rest."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    before = 4 if layout == "columns" else 5
    kernels = rng.normal(0, 0.15, (before + CLASSES, channels, 8, 8)).astype(np.float32)
    bias = np.concatenate([np.full(4, 0.3), rng.normal(0, 0.5, before - 4 + CLASSES)]).astype(np.float32)
    constants = {"kernels": kernels, "bias": bias, "shape": np.array([0, before + CLASSES, -1])}
    constants |= {"start": np.array([0]), "four": np.array([4]), "end": np.array([99]), "axis": np.array([1])}
    constants["pixels"] = np.array(64, np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "kernels", "bias"], ["map"], strides=[8, 8]),
        helper.make_node("Reshape", ["map", "shape"], ["flat"]),
        helper.make_node("Sigmoid", ["flat"], ["shares"]),
        helper.make_node("Slice", ["shares", "start", "four", "axis"], ["box_shares"]),
        helper.make_node("Mul", ["box_shares", "pixels"], ["boxes"]),
        helper.make_node("Slice", ["shares", "four", "end", "axis"], ["classes"]),
        helper.make_node("Concat", ["boxes", "classes"], ["columns"], axis=1),
        helper.make_node("Transpose", ["columns"], ["rows"], perm=[0, 2, 1]),
    ]
    results = [layout, "map"][:outputs]
    graph = helper.make_graph(
        nodes,
        "yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, channels, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if names is not None:
        helper.set_model_props(model, {"names": repr(names)})
    onnx.save(model, path)
    return kernels, bias


def expected(pictures, kernels, bias, layout):
    values = torch.nn.functional.conv2d(pictures, torch.from_numpy(kernels), torch.from_numpy(bias), stride=8)
    values = values.flatten(2).sigmoid().numpy()
    objectness = 1 if layout == "columns" else values[:, 4:5]
    classes = values[:, -CLASSES:]
    return values[:, :4] * 64, np.where(classes.argmax(1) == 0, (classes * objectness)[:, 0], 0)


def crops(count=3, size=(24, 12)):
    return np.random.default_rng(3).integers(0, 256, (count, *size, 3)).astype(np.uint8)


@pytest.mark.parametrize("batch", [1, "batch"])
@pytest.mark.parametrize("layout", ["columns", "rows"])
def test_both_layouts_and_both_kinds_of_batch(tmp_path, layout, batch):
    kernels, bias = write_onnx(tmp_path / "a.onnx", layout=layout, batch=batch)
    detector = ONNXDetector(tmp_path / "a.onnx", padding=4)
    found = detector.find(crops())
    frame = detector._frame((24, 12))
    pictures = frame.pictures(crops(), torch.device("cpu")) / 255
    assert pictures.shape == (3, 3, SIZE, SIZE)
    boxes, scores = expected(pictures, kernels, bias, layout)
    for (our_boxes, our_scores), their_boxes, their_scores in zip(found, boxes, scores, strict=True):
        np.testing.assert_allclose(our_scores, their_scores, atol=1e-5)
        np.testing.assert_allclose(our_boxes, frame.to_crop(their_boxes.T), atol=1e-3)
    assert 0 < (scores > 0).mean() < 1


def test_the_class_is_found_by_its_name(tmp_path):
    path = tmp_path / "a.onnx"
    write_onnx(path, layout="columns", names={0: "dog", 1: "cat", 2: "person"})
    assert ONNXDetector(path, padding=4)._person == 2
    assert ONNXDetector(path, padding=4, person=1)._person == 1
    write_onnx(path, layout="columns", names={0: "dog", 1: "cat", 2: "cow"})
    with pytest.raises(WeightsError, match="knows no class of the name person"):
        ONNXDetector(path, padding=4)
    write_onnx(path, layout="columns", names={0: "person"})
    with pytest.raises(WeightsError, match="of 1 classes"):
        ONNXDetector(path, padding=4).find(crops())
    write_onnx(path, layout="columns")
    with pytest.raises(ConfigError, match="must be a class of"):
        ONNXDetector(path, padding=4, person=3).find(crops())


def test_an_open_size_is_yolos_usual_one(tmp_path):
    write_onnx(tmp_path / "a.onnx", layout="columns", size=None)
    assert ONNXDetector(tmp_path / "a.onnx", padding=4)._size == (DYNAMIC_SIZE, DYNAMIC_SIZE)


def test_files_that_are_no_yolo_are_told(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"a\.onnx is not an ONNX file"):
        ONNXDetector(path, padding=4)
    write_onnx(path, layout="columns")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(WeightsError, match=r"a\.onnx is not an ONNX file"):
        ONNXDetector(path, padding=4)
    write_onnx(path, layout="columns", outputs=2)
    with pytest.raises(WeightsError, match="not one output"):
        ONNXDetector(path, padding=4)
    write_onnx(path, layout="columns", channels=1)
    with pytest.raises(WeightsError, match="input that crops cannot be given to"):
        ONNXDetector(path, padding=4)


@pytest.mark.parametrize("shape", [(300, 6, 1), (300, 5), (4, 300), (300,)])
def test_outputs_of_other_shapes_are_told(shape, tmp_path):
    with pytest.raises(WeightsError, match="output that cannot be read"):
        split_output(np.zeros(shape), None, tmp_path / "a.onnx")


def test_suppressed_boxes_are_not_taken_for_class_scores(tmp_path):
    with pytest.raises(WeightsError, match="output that cannot be read"):
        split_output(np.zeros((300, 6)), 80, tmp_path / "a.onnx")  # left, top, right, bottom, score, class


def test_the_filter_runs_it(tmp_path):
    write_onnx(tmp_path / "a.onnx", layout="rows", batch="batch")
    table = make_table([1, 1, 2], root=tmp_path / "crops")
    filter_ = DetectorFilter(str(tmp_path / "a.onnx"), 0.3, padding=4)
    scores = filter_.scores(table)
    np.testing.assert_allclose(
        scores, DetectorFilter(str(tmp_path / "a.onnx"), padding=4, batch=1).scores(table), atol=1e-6
    )
    assert ((scores >= 0) & (scores <= 1)).all()
    assert len(set(scores)) > 1
