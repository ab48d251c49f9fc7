"""Person detectors: YOLO networks in Darknet's and ONNX's formats, and OpenCV's HOG."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from reidgen.config import Device
from reidgen.engine.cache import cache_folder
from reidgen.engine.devices.device import chosen
from reidgen.engine.download import check_digest, download
from reidgen.engine.foreign.file_kinds import what_is
from reidgen.engine.opening import Room, TooLargeError, check_output
from reidgen.errors import ConfigError, WeightsError, again, option
from reidgen.files import file_sha256
from reidgen.filters.detection.detector_hog import HOGDetector
from reidgen.filters.detection.detector_onnx import ONNXDetector
from reidgen.filters.detection.frames import Frame
from reidgen.models.detector.darknet import Darknet
from reidgen.models.detector.yolov4_tiny import yolov4_tiny_cfg

Score = Literal["product", "class"]
Found = list[tuple[np.ndarray, np.ndarray]]
TINY, HOG = "yolov4-tiny", "hog"
WEIGHTS_URL = "https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v4_pre/yolov4-tiny.weights"
WEIGHTS_DIGEST = "sha1:451caaab22fb9831aa1a5ee9b5ba74a35ffa5dcb"  # by which OpenCV's own tests know the file


class Detector(Protocol):
    """Anything that finds people in crops."""

    def find(self, crops: np.ndarray) -> Found:
        """Candidates, overlapping ones included.

        Args:
            crops: uint8 (B, H, W, 3), RGB.

        Returns:
            For each crop boxes (N, 4) of left, top, width, height in crop pixels, and scores (N,) of their being a
            person.
        """


class DarknetDetector:
    """A Darknet network that sees the crop in a coloured border, stretched to the network's input."""

    def __init__(
        self, network: Darknet, *, padding: int, score: Score, person: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        fewest = min(head.classes for head in network.heads)
        if person >= fewest:
            raise ConfigError(
                f"{option('detector_person')} must be a class of the network.", got=person, allowed=f"0 to {fewest - 1}"
            )
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._score, self._person = score, person
        self._frame: Callable[[tuple[int, int]], Frame] = cache(
            lambda size: Frame.around(size, network.size, padding=padding, fit="stretch")
        )

    @torch.inference_mode()
    def find(self, crops: np.ndarray) -> Found:
        """As `Detector.find`; a box counts where person is its most probable class, and scores 0 else."""
        frame = self._frame(crops.shape[1:3])
        boxes = self._network.boxes(frame.pictures(crops, self._device) / 255)
        height, width = self._network.size
        corners = boxes[..., :4] * torch.tensor([width, height, width, height], device=self._device)
        scores = person_scores(boxes, score=self._score, person=self._person)
        check_output(torch.cat([corners, scores[..., None]], -1), "The detector")
        return [
            (frame.to_crop(places), found)
            for places, found in zip(corners.cpu().numpy(), scores.cpu().numpy(), strict=True)
        ]


def person_scores(boxes: Tensor, *, score: Score, person: int = 0) -> Tensor:
    """How surely each box is a person.

    OpenCV's Darknet importer multiplies the class probabilities by the objectness, so what the source's program reads
    as the class score is that product. It takes the box's best class and its score, and goes on if that is "person".

    Args:
        boxes: (B, N, 5 + classes) as `models.darknet.Yolo.decode` gives them.
        score: "product" of objectness and class probability, or the probability of the "class" alone.
        person: Number of the class.

    Returns:
        (B, N); 0 where another class is more probable.
    """
    classes = boxes[..., 5:]
    scores = classes[..., person] * boxes[..., 4] if score == "product" else classes[..., person]
    return scores * (classes.argmax(-1) == person)


def open_detector(
    model: str, *, cfg: str | None, score: Score, person: int | None, padding: int, device: Device
) -> Detector:
    """The detector that a name or a file stands for.

    Raises:
        WeightsError: A file is missing, damaged, or not supported.
        MissingExtraError: OpenCV or onnxruntime is needed and not installed.
        ConfigError: There is no such class or device.
    """
    if model == HOG:
        return HOGDetector()
    files = detector_files(model, cfg)
    if files[0].suffix == ".onnx":
        return ONNXDetector(files[0], padding=padding, person=person)
    network = _network(*files)
    return DarknetDetector(network, padding=padding, score=score, person=person or 0, device=chosen(device))


def detector_files(model: str, cfg: str | None) -> list[Path]:
    """The files that a detector is made of; YOLOv4-tiny's weights are downloaded the first time.

    Raises:
        WeightsError: A file does not exist, or is none of a known format.
    """
    if model == HOG:
        return []
    path = _published_weights() if model == TINY else Path(model)
    if path.suffix not in (".weights", ".onnx"):
        raise WeightsError(
            f"{model} is not a detector.",
            got=model,
            allowed=f"{TINY}, {HOG}, or the path of a .weights or .onnx file",
            fix=option(detector=TINY),
        )
    files = [path] if cfg in (None, TINY) else [path, Path(str(cfg))]
    if cfg is None and path.suffix == ".weights" and model != TINY:
        files.append(path.with_suffix(".cfg"))
    for file in files:
        if not file.is_file():
            raise WeightsError(
                f"There is no detector file {file}.",
                allowed="a Darknet .weights file with its .cfg of the same name beside it, or an .onnx file",
                fix=f"{option(detector_cfg='FILE.cfg')}, or {TINY}" if file.suffix == ".cfg" else option(detector=TINY),
            )
    return files


def detector_hash(model: str, cfg: str | None) -> str:
    """What a run depends on: SHA-256 of each file, or the detector's name where there is none."""
    return " ".join(file_sha256(file) for file in detector_files(model, cfg)) or model


def _network(weights: Path, cfg: Path | None = None) -> Darknet:
    """A Darknet network from its files; without a cfg it is YOLOv4-tiny."""
    if cfg is None:
        network = Darknet(yolov4_tiny_cfg())
    else:
        numbers = weights.stat().st_size // 4
        network = _told(cfg, lambda data: _described(data.decode(errors="replace"), numbers))
    _told(weights, network.load_weights)
    return network


def _described(cfg: str, numbers: int) -> Darknet:
    """The network of a cfg, which has no more numbers than the weight file."""
    try:
        with Room(numbers):
            return Darknet(cfg)
    except TooLargeError as error:
        raise WeightsError(
            "The cfg does not belong to the weights.", got=str(error), allowed="the cfg of these weights"
        ) from error


def _told(path: Path, read: Callable[[bytes], Any]) -> Any:
    """What `read` makes of a file; its errors begin with the file's name."""
    try:
        data = path.read_bytes()
        if (known := what_is(data)) is not None:
            raise WeightsError("It is not a file of Darknet.", got=known[0], allowed="a whole file", fix=known[1])
        return read(data)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read.", got=error.strerror, allowed="a readable file") from error
    except WeightsError as error:
        raise again(WeightsError, error.parts, what=f"{path}: {error.parts['what']}") from error


def _published_weights() -> Path:
    path = cache_folder() / "weights" / f"{TINY}.weights"
    if not path.is_file():
        download(
            WEIGHTS_URL,
            path,
            what="The detector's file",
            fix=f"{option(detector='FILE.weights')} {option(detector_cfg=TINY)}",
        )
    check_digest(path, WEIGHTS_DIGEST)
    return path
