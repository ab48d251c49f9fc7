"""The knobs of `reidgen annotate`: what is to be known of each crop, and where it comes from."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import (
    Device,
    check_counts,
    check_not_negative,
    check_seed,
    check_shares,
    check_size,
    option,
    require,
)

What = Literal["mask", "keypoints", "yaw", "body", "mesh"]
USUAL: tuple[What, ...] = ("mask", "keypoints", "yaw")  # what the renderer knows of its crops
WHAT: tuple[What, ...] = (*USUAL, "body", "mesh")


@dataclass(frozen=True, kw_only=True)
class AnnotateConfig:
    """What is found out about each crop, and how.

    Attributes:
        what: Columns to add. What the renderer wrote of its own crops is the truth and stays.
        masks: "mediapipe" segments the person with MediaPipe's pose-landmark model (extra: annotate). A folder holds a
            mask for each crop, by the crop's name.
        pose_model: "package" reads the model's file out of the installed package mediapipe. A path reads another
            .tflite file of that family, such as pose_landmark_heavy.tflite.
        mask_confidence: Lowest confidence of the model that somebody is there; below it a crop gets no mask.
        others_share: From how much of somebody else a crop counts as one of two people: a share of the person's area,
            times the model's confidence (the table's column others).
        keypoint_confidence: Lowest mean score of the 17 points; below it a crop gets neither key points nor yaw.
        visible_score: Lowest score of a point that counts as seen (2); below it the point counts as hidden (1).
        yaw_from: "keypoints" fits standing and walking people to the key points. "both" averages this yaw and that of
            the pose-landmark model where the two differ by less than 90 degrees.
        body_points: Seen points that a crop needs; with fewer it gets no body.
        meshes: "anny" draws the fitted body (extra: render). A folder holds one folder for each of `angles`, named by
            the angle, with a picture for each crop, by the crop's name.
        angles: Degrees by which bodies are turned for the columns mesh_N; 0 is the crop's own view.
        mesh_size: (height, width) of the pictures of bodies.
        checked: Rendered crops, drawn by the seed, on which the methods are compared with the renderer's truth.
    """

    what: tuple[What, ...] = USUAL
    masks: str = "mediapipe"
    pose_model: str = "package"
    mask_confidence: float = 0.5
    others_share: float = 0.25
    keypoint_confidence: float = 0.1
    visible_score: float = 0.3
    yaw_from: Literal["keypoints", "both"] = "keypoints"
    body_points: int = 8
    meshes: str = "anny"
    angles: tuple[int, ...] = (0, 90, 135, 180, 270)
    mesh_size: tuple[int, int] = (128, 64)
    checked: int = 240
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            bool(self.what) and len(set(self.what)) == len(self.what),
            f"{option('what')} names columns, each once.",
            got=" ".join(self.what) or "none",
            allowed=" ".join(WHAT),
            fix=option(what=USUAL),
        )
        check_shares(self, "mask_confidence", "keypoint_confidence", "visible_score")
        require(
            bool(self.angles) and len(set(self.angles)) == len(self.angles) and all(0 <= a < 360 for a in self.angles),
            f"{option('angles')} names whole degrees, each once.",
            got=" ".join(map(str, self.angles)) or "none",
            allowed="0 to 359",
            fix=option(angles=(0, 90, 180, 270)),
        )
        check_size("mesh_size", self.mesh_size)
        check_counts(self, "body_points")
        check_not_negative(self, "checked", "others_share")
        check_seed(self.seed)

    @property
    def needs_model(self) -> bool:
        """Whether the pose-landmark model is run."""
        by_model = "mask" in self.what and self.masks == "mediapipe"
        return by_model or ("yaw" in self.what and self.yaw_from == "both")
