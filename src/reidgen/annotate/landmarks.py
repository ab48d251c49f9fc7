"""MediaPipe's pose-landmark model: the mask of the person in a crop, how sure it is, and the yaw (extra: annotate)."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidgen.annotate.squares import place
from reidgen.engine.devices.machine import cores
from reidgen.errors import WeightsError, importing, option
from reidgen.files import file_sha256
from reidgen.models.translation.paste import inpaint, without_people

PACKAGE, VERSION, FOLDER = "mediapipe", "0.10.21", "modules/pose_landmark"
# First digits of the SHA-256 of the published files; others are not opened, as the interpreter trusts what it reads.
KNOWN = {"lite": "f17bfbecadb61c3b", "full": "e9a5c5cb17f736fa", "heavy": "59e42d71bcd44cbd"}
SIDE = 256
SHARE = 0.75  # of the square that a crop takes: IoU .90, where the whole square has .86
POINTS = 39  # in space, metres; x to the right, z away from the camera
SHOULDERS, HIPS = (11, 12), (23, 24)  # left, right
OUTPUTS = {"presence": (1, 1), "mask": (1, SIDE, SIDE, 1), "world": (1, 3 * POINTS)}
THREADS = 2


@dataclass(frozen=True)
class Landmarks:
    """What the model says of a crop.

    Attributes:
        mask: bool (H, W): the person.
        presence: From 0 to 1, how sure it is that somebody is there.
        yaw: Degrees from -180 to 180, as the table has it.
    """

    mask: np.ndarray
    presence: float
    yaw: float


class LandmarkModel:
    """The model, opened.

    Args:
        path: One of the published .tflite files.

    Raises:
        MissingExtraError: ai-edge-litert is not installed.
        WeightsError: The file is missing, damaged, or another one.
    """

    def __init__(self, path: Path) -> None:
        _check_known(path)
        with importing("ai-edge-litert", extra="annotate", purpose="The pose-landmark model", module="ai_edge_litert"):
            from ai_edge_litert import interpreter
        self._network = interpreter.Interpreter(model_path=str(path), num_threads=min(THREADS, cores()))
        self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        found = {tuple(map(int, one["shape"])): one["index"] for one in self._network.get_output_details()}
        self._outputs = {name: found[shape] for name, shape in OUTPUTS.items()}

    def find(self, crop: np.ndarray) -> Landmarks:
        """What it says of a crop uint8 (H, W, 3)."""
        placed = place(crop, side=SIDE, share=SHARE)
        self._network.set_tensor(self._input, (placed.square / 255).permute(1, 2, 0)[None].numpy())
        self._network.invoke()
        out: dict[str, Any] = {name: self._network.get_tensor(index) for name, index in self._outputs.items()}
        logits = placed.map_back(torch.from_numpy(out["mask"][0, :, :, 0]))
        return Landmarks(
            (logits > 0).numpy(), round(float(out["presence"][0, 0]), 4), yaw_of(out["world"].reshape(POINTS, 3))
        )

    def others(self, crop: np.ndarray, found: Landmarks) -> float:
        """How much of somebody else it sees once the person is painted over with what is around.

        Its confidence then, times the area of that mask outside of the first one, as a share of the first one's.
        """
        known = without_people(torch.from_numpy(found.mask)[None, None].float())
        painted = inpaint(torch.from_numpy(crop).permute(2, 0, 1)[None].float(), known)[0].permute(1, 2, 0)
        again = self.find(painted.round().byte().numpy())
        new = again.mask & (known[0, 0] > 0).numpy()
        return round(again.presence * float(new.sum() / max(found.mask.sum(), 1)), 4)


def yaw_of(points: np.ndarray) -> float:
    """The yaw of points in space (39, 3): of the line from the right shoulder and hip to the left ones."""
    left, right = zip(SHOULDERS, HIPS, strict=True)
    across = (points[[*left]] - points[[*right]]).sum(0)
    return float(np.degrees(np.arctan2(across[2], across[0])))


def model_file(asked: str) -> Path:
    """The file of `pose_model`: a path, or "package" for that in the package mediapipe, which is not imported.

    Raises:
        WeightsError: The package is not there, or the path is no published model.
    """
    if asked != "package":
        _check_known(Path(asked))
        return Path(asked)
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    file = Path(folders[0]) / FOLDER / "pose_landmark_full.tflite" if folders else None
    if file is None or not file.is_file():
        raise WeightsError(
            f"The pose-landmark model is in the package {PACKAGE}, which is not installed.",
            got="no such package" if file is None else f"a package without {file}",
            allowed=f"{PACKAGE} {VERSION}, or {option('pose_model')} with its {FOLDER}/pose_landmark_full.tflite",
            fix=f"pip install --no-deps {PACKAGE}=={VERSION}; or {option(masks='FOLDER')} and "
            f"{option(yaw_from='keypoints')}",
        )
    return file


def _check_known(path: Path) -> None:
    try:
        digest = file_sha256(path)
    except OSError as error:
        digest = f"nothing: {(error.strerror or type(error).__name__).lower()}"
    if not digest.startswith(tuple(KNOWN.values())):
        raise WeightsError(
            f"{path} is not a published pose-landmark model.",
            got=digest if digest.startswith("nothing") else f"sha256 {digest[:16]}...",
            allowed=f"MediaPipe's pose_landmark_lite, _full or _heavy.tflite ({', '.join(KNOWN.values())})",
            fix=f"pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}, and {option(pose_model='package')}",
        )
