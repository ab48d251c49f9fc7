"""Where shots are taken: meshes and buffers on the ray kernel's side. Imports warp: import this module lazily."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from reidgen.render import crops
from reidgen.render.bodies.body import BodyModel, body_model
from reidgen.render.bodies.figure import Figure, dress, pose_figure
from reidgen.render.bodies.poses import sample_pose
from reidgen.render.bodies.wardrobe import SLOTS, sample_outfit
from reidgen.render.cameras import project
from reidgen.render.kernels import raycast
from reidgen.render.shots import EXTRA_PEOPLE, EXTRAS, Shot, stream

Array = NDArray[np.floating[Any]]
KEYPOINT_DEPTH_M = 0.14  # a joint lies this deep in the body at most


@dataclass(frozen=True, eq=False)
class Picture:
    """A crop (H, W, 3), the mask of its person (H, W), and the part and normal maps of `crops`."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    parts: NDArray[np.uint8]
    normals: NDArray[np.uint8]


class Studio:
    """Meshes and buffers that are used again for one crop after the other.

    Attributes:
        seed: Of the run; decides who the passers-by are.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._figure: Figure | None = None
        self._shot: Shot | None = None
        self._mesh: Any = None
        self._constant: list[Any] = []
        self._normals: Any = None
        self._cloth: Any = None
        self._materials: Any = None
        with wp.ScopedDevice("cpu"):
            self._load_extras()

    def _load_extras(self) -> None:
        self._extras = [_extra(body_model(), self.seed, i) for i in range(EXTRA_PEOPLE)]
        most = max(len(slots) for _, slots, _ in self._extras)
        slots = np.zeros((EXTRA_PEOPLE, most), np.int32)
        for row, (_, mine, _) in zip(slots, self._extras, strict=True):
            row[: len(mine)] = mine
        self._extra_slots: Any = wp.array(slots, dtype=int)
        self._extra_tints: Any = wp.array(np.stack([tint for _, _, tint in self._extras]), dtype=float)

    def take(self, shot: Shot, samples: int = 2) -> Picture:
        """Cast the rays of a shot and develop the crop.

        Args:
            shot: What to render.
            samples: Rays per pixel along each axis.
        """
        height, width = shot.size
        with wp.ScopedDevice("cpu"):
            light, hits, normals = self._cast(shot, samples)
        hits = hits.reshape(height, width, -1)
        pixels = crops.develop(light.reshape(height, width, 3), shot.camera, shot.box, stream(*shot.key))
        mask = (hits != 255).mean(-1) >= 0.5
        directions = crops.normal_map(normals.reshape(height, width, 3), mask)
        return Picture(pixels, mask, crops.part_map(hits, len(SLOTS)), directions)

    def _cast(self, shot: Shot, samples: int) -> tuple[Array, NDArray[np.uint8], Array]:
        """Linear light (pixels, 3), slot per sample (pixels, samples^2) and summed normals (pixels, 3)."""
        self._prepare(shot)
        count = shot.size[0] * shot.size[1]
        light, surface = wp.zeros(count, dtype=wp.vec3f), wp.zeros(count, dtype=wp.vec3f)
        part = wp.zeros((count, samples * samples), dtype=wp.uint8)
        ids, places, rows, props, walls = self._surroundings(shot)
        inputs = [_view(shot, samples), self._mesh.id, self._mesh.indices, *self._constant, self._normals, self._cloth]
        inputs += [self._materials, ids, places, rows, self._extra_tints, self._extra_slots, props, walls]
        wp.launch(raycast.cast, dim=count, inputs=[*inputs, light, part, surface])
        return light.numpy(), part.numpy(), surface.numpy()

    def keypoints(self, shot: Shot) -> NDArray[np.floating[Any]]:
        """COCO key points of a shot, (17, 3): x and y in crop pixels, and 2 seen, 1 hidden or 0 outside the crop."""
        with wp.ScopedDevice("cpu"):
            gap = self._depths(shot)
        pixels = crops.to_pixels(shot.box, project(shot.camera, shot.posed.keypoints), shot.size)
        height, width = shot.size
        inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
        seen = np.where(gap < KEYPOINT_DEPTH_M, 2, 1)
        return np.concatenate([np.round(pixels.astype(np.float64), 1), np.where(inside, seen, 0)[:, None]], 1)

    def _depths(self, shot: Shot) -> Array:
        """How far before each key point its ray is stopped, metres (17,)."""
        self._prepare(shot)
        gap: Any = wp.zeros(17, dtype=float)
        targets: Any = wp.array(shot.posed.keypoints, dtype=wp.vec3f)
        ids, places, _, props, walls = self._surroundings(shot)
        inputs = [_view(shot, 1), self._mesh.id, ids, places, props, walls, targets, gap]
        wp.launch(raycast.depths, dim=17, inputs=inputs)
        return gap.numpy()

    def _prepare(self, shot: Shot) -> None:
        """Put the person's pose into the mesh, whose tree was built in one fixed pose: equal for equal shots."""
        if shot is self._shot:
            return
        figure = shot.figure
        if figure is not self._figure:
            rng = stream(0)
            still = pose_figure(figure, sample_pose(rng), rng)
            indices: Any = wp.array(figure.faces.ravel(), dtype=int)
            self._mesh = wp.Mesh(points=wp.array(still.vertices, dtype=wp.vec3f), indices=indices)
            self._constant = [wp.array(figure.slots, dtype=int), wp.array(figure.charts, dtype=int)]
            self._normals = wp.array(still.normals, dtype=wp.vec3f)
            self._cloth = wp.array(figure.cloth, dtype=wp.vec3f)
            self._materials = wp.array(figure.materials, dtype=float)
        self._figure, self._shot = figure, shot
        self._mesh.points.assign(shot.posed.vertices)
        self._normals.assign(shot.posed.normals)
        self._mesh.refit()

    def _surroundings(self, shot: Shot) -> tuple[Any, ...]:
        chosen = shot.passers or [(0, (0.0, 0.0, 0.0, 0.0))]
        ids = np.array([self._extras[i][0].id for i, _ in chosen], np.uint64)
        props = shot.scene.props if len(shot.scene.props) else np.zeros((1, 16), np.float32)
        return (
            wp.array(ids, dtype=wp.uint64),
            wp.array(np.array([p for _, p in chosen], np.float32), dtype=wp.vec4f),
            wp.array(np.array([i for i, _ in chosen], np.int32), dtype=int),
            wp.array(props, dtype=float),
            wp.array(shot.scene.walls, dtype=float),
        )


def _extra(model: BodyModel, seed: int, index: int) -> tuple[wp.Mesh, NDArray[np.integer[Any]], Array]:
    """A passer-by in one fixed pose: mesh, slot of each face, colour of each slot."""
    rng = stream(seed, EXTRAS, index)
    figure = dress(model, sample_outfit(rng), rng)
    posed = pose_figure(figure, sample_pose(rng), rng)
    mesh = wp.Mesh(points=wp.array(posed.vertices, dtype=wp.vec3f), indices=wp.array(figure.faces.ravel(), dtype=int))
    return mesh, figure.slots, figure.materials[:, 1:4].ravel().astype(np.float32)


def _view(shot: Shot, samples: int) -> raycast.View:
    camera, scene, box = shot.camera, shot.scene, shot.box
    right, up, forward = camera.axes
    view = raycast.View()
    vectors: dict[str, Any] = {
        "eye": camera.eye,
        "right": right,
        "up": up,
        "forward": forward,
        "sun": camera.sun,
        "sun_colour": camera.sun_colour,
        "sky": camera.sky,
        "bounce": camera.bounce,
        "haze": camera.haze,
        "person": (shot.place.x, shot.place.y, 0.0),
        "ground_a": scene.ground_a,
        "ground_b": scene.ground_b,
    }
    for name, value in vectors.items():
        setattr(view, name, wp.vec3f(*(float(v) for v in value)))
    numbers = {
        "left_edge": box.left,
        "right_edge": box.right,
        "top_edge": box.top,
        "bottom_edge": box.bottom,
        "softness": camera.softness,
        "haze_per_metre": camera.haze_per_metre,
        "ground_scale": scene.scale,
        "ground_angle": scene.angle,
    }
    for name, value in numbers.items():
        setattr(view, name, float(value))
    view.seed = int(abs(shot.place.x) * 1e5) % 100003
    view.samples, (view.height, view.width) = samples, shot.size
    view.walls, view.props, view.passers = len(scene.walls), len(scene.props), len(shot.passers)
    view.ground_kind = scene.ground
    return view
