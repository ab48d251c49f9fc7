"""Person detection with any YOLO-style ONNX file, by onnxruntime (extra: detect)."""

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidgen.engine.foreign.file_kinds import head_of, what_is
from reidgen.errors import ConfigError, WeightsError, importing, option
from reidgen.filters.detection.frames import Frame

DYNAMIC_SIZE = 640  # the input of YOLO files whose height and width are open
BOX = 4


class ONNXDetector:
    """A YOLO network with one input, float (B, 3, H, W), RGB in [0, 1], and one output of either of two layouts.

    (B, 4 + classes, N): centre x, centre y, width and height in input pixels, then a probability for each class.
    (B, N, 5 + classes): the same with an objectness after the box, by which the probabilities are multiplied.
    The crop keeps its shape: it is bordered like for YOLOv4-tiny, resized, and centred on grey.
    """

    def __init__(self, path: Path, *, padding: int, person: int | None = None) -> None:
        self._path, self._session = path, _session(path)
        self._input = _only(path, "input", self._session.get_inputs())
        self._output = _only(path, "output", self._session.get_outputs())
        batch, height, width = _input_shape(path, self._input)
        self._whole_batch = batch is None
        self._size = height or DYNAMIC_SIZE, width or DYNAMIC_SIZE
        self._names = _names(self._session)
        self._person = _person(path, self._names) if person is None else person
        self._frame: Callable[[tuple[int, int]], Frame] = cache(
            lambda size: Frame.around(size, self._size, padding=padding, fit="letterbox")
        )

    def find(self, crops: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `Detector.find`; a box counts where person is its most probable class, and scores 0 else."""
        frame = self._frame(crops.shape[1:3])
        pictures = (frame.pictures(crops, torch.device("cpu")) / 255).numpy()
        parts = [pictures] if self._whole_batch else [pictures[i : i + 1] for i in range(len(pictures))]
        raw = np.concatenate([self._session.run([self._output.name], {self._input.name: part})[0] for part in parts])
        return [(frame.to_crop(boxes), scores) for boxes, scores in (self._read(values) for values in raw)]

    def _read(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        boxes, classes = split_output(values, None if self._names is None else len(self._names), self._path)
        if self._person >= classes.shape[1]:
            raise ConfigError(
                f"{option('detector_person')} must be a class of {self._path}.",
                got=self._person,
                allowed=f"0 to {classes.shape[1] - 1}",
            )
        return boxes, classes[:, self._person] * (classes.argmax(1) == self._person)


def split_output(values: np.ndarray, classes: int | None, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) and class scores (N, classes) of one picture's output, whichever of the two layouts it has.

    Args:
        values: (4 + classes, N) or (N, 5 + classes); there are more boxes than numbers for each.
        classes: Their number where the file says it.
        path: For the error.

    Raises:
        WeightsError: The output has neither layout.
    """
    rows = values.T if values.ndim == 2 and values.shape[0] < values.shape[1] else values
    before = BOX if rows is not values else BOX + 1
    if values.ndim != 2 or rows.shape[1] <= before or (classes is not None and rows.shape[1] != before + classes):
        known = "" if classes is None else f" of {classes} classes"
        raise WeightsError(
            f"{path} has an output that cannot be read.",
            got=f"{values.shape} a picture{known}",
            allowed="(4 + classes, boxes) or (boxes, 5 + classes)",
            fix="export the network without non-maximum suppression",
        )
    scores = rows[:, before:] if before == BOX else rows[:, before:] * rows[:, BOX : BOX + 1]
    return rows[:, :BOX], scores


def _session(path: Path) -> Any:
    with importing("onnxruntime", extra="detect", purpose="A detector in an .onnx file"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each of a dozen reasons
        got, fix = what_is(head_of(path)) or ((str(error).splitlines() or ["no reason"])[0][:200], "export it again")
        raise WeightsError(
            f"{path} is not an ONNX file that onnxruntime can run.",
            got=got,
            allowed="a whole ONNX file of a YOLO network",
            fix=fix,
        ) from error


def _only(path: Path, kind: str, found: list[Any]) -> Any:
    if len(found) != 1:
        names = ", ".join(item.name for item in found)
        raise WeightsError(f"{path} has not one {kind}.", got=names, allowed=f"one {kind}, as YOLO exports have")
    return found[0]


def _input_shape(path: Path, node: Any) -> tuple[int | None, int | None, int | None]:
    """Batch, height and width, None where they are open."""
    shape = [length if isinstance(length, int) else None for length in node.shape]
    if len(shape) != 4 or shape[1] != 3 or shape[0] not in (None, 1) or node.type != "tensor(float)":
        raise WeightsError(
            f"{path} has an input that crops cannot be given to.",
            got=f"{node.type} {node.shape}",
            allowed="tensor(float) [1 or open, 3, height, width]",
        )
    return shape[0], shape[2], shape[3]


def _names(session: Any) -> dict[int, str] | None:
    """Names of the classes, where the exporter wrote them down."""
    text = session.get_modelmeta().custom_metadata_map.get("names")
    if text is None:
        return None
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return names if isinstance(names, dict) else dict(enumerate(names)) if isinstance(names, (list, tuple)) else None


def _person(path: Path, names: dict[int, str] | None) -> int:
    """The class "person" by its name; the first one, as in COCO, where the file must name one or more."""
    if names is None:
        return 0
    found = [number for number, name in names.items() if name in ("person", "pedestrian")]
    if not found:
        raise WeightsError(
            f"{path} knows no class of the name person.",
            got=", ".join(list(names.values())[:6]),
            allowed="person or pedestrian among the names",
            fix=option(detector_person="NUMBER"),
        )
    return found[0]
