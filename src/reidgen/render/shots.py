"""One picture of one person: place, pose, passers-by, rays, and what is known of it. A pure function of four numbers."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import warp as wp
from numpy.typing import NDArray

from reidgen.render import crops, raycast
from reidgen.render.body import BodyModel, body_model
from reidgen.render.cameras import Camera, Place, project, sample_camera, sample_place
from reidgen.render.crops import Box
from reidgen.render.figure import Figure, Posed, dress, pose_figure
from reidgen.render.poses import Pose, sample_pose
from reidgen.render.scene import Scene, clear_of_props, sample_scene
from reidgen.render.wardrobe import SLOTS, sample_outfit

Array = NDArray[np.float32]
PERSON, CAMERA, SHOT, EXTRAS = 1, 2, 3, 4  # streams of random numbers
EXTRA_PEOPLE = 10


@dataclass(frozen=True, eq=False)
class Shot:
    """All that is needed to cast the rays of a crop.

    Attributes:
        camera, scene, place, pose, box: Where, how and what is cut out.
        figure, posed: The person; vertices and key points in the world.
        passers: Index of each passer-by among the extras, and (x, y, z, turn).
        size: (height, width) of the crop.
        rng: Drawn from when the crop is developed.
    """

    camera: Camera
    scene: Scene
    place: Place
    pose: Pose
    box: Box
    figure: Figure
    posed: Posed
    passers: list[tuple[int, tuple[float, float, float, float]]]
    size: tuple[int, int]
    rng: np.random.Generator


@dataclass(frozen=True, eq=False)
class Picture:
    """A crop (H, W, 3), its mask (H, W), part and normal maps, COCO key points (17 x, y, visibility) and yaw in degrees."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    parts: NDArray[np.uint8]
    normals: NDArray[np.uint8]


def stream(seed: int, *keys: int) -> np.random.Generator:
    """Random numbers that depend on the seed and the keys alone."""
    return np.random.default_rng([seed, *keys])


@functools.lru_cache(maxsize=2)
def person(seed: int, pid: int) -> Figure:
    """A person, dressed."""
    rng = stream(seed, PERSON, pid)
    return dress(body_model(), sample_outfit(rng), rng)


@functools.lru_cache(maxsize=64)
def location(seed: int, camid: int) -> tuple[Camera, Scene]:
    """A camera and the place it looks at."""
    rng = stream(seed, CAMERA, camid)
    camera = sample_camera(rng)
    return camera, sample_scene(camera, rng)


def compose(seed: int, pid: int, camid: int, index: int, size: tuple[int, int]) -> Shot:
    """Decide all about a picture without casting a ray."""
    camera, scene = location(seed, camid)
    figure = person(seed, pid)
    rng = stream(seed, SHOT, pid, camid, index)
    place = sample_place(camera, rng)
    for _ in range(20):
        if clear_of_props(scene, place.x, place.y):
            break
        place = sample_place(camera, rng)
    held = ["", ""]
    for thing in figure.hanging:
        held[0 if thing.bone.endswith("L") else 1] = "bag"
    pose = sample_pose(rng, (held[0], held[1]))
    posed = _placed(pose_figure(figure, pose, rng), place)
    if rng.random() < camera.shade:
        camera = replace(camera, sun_colour=(0.0, 0.0, 0.0), exposure=camera.exposure * 1.35)
    box = crops.detector_box(project(camera, posed.vertices), size[1] / size[0], camera.looseness, rng)
    return Shot(camera, scene, place, pose, box, figure, posed, _passers(camera, place, rng), size, rng)


def _placed(posed: Posed, place: Place) -> Posed:
    c, s = np.cos(np.radians(place.turn)), np.sin(np.radians(place.turn))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    at = np.array([place.x, place.y, 0], np.float32)
    return Posed(posed.vertices @ turn.T + at, posed.normals @ turn.T, posed.keypoints @ turn.T + at)


def _passers(camera: Camera, place: Place, rng: np.random.Generator) -> list[tuple[int, tuple[float, float, float, float]]]:
    out = []
    if rng.random() < 0.3:  # somebody further off
        y = place.y + rng.uniform(0.9, 4.5)
        x = place.x * y / place.y + rng.normal(0, 0.55)
        out.append((int(rng.integers(EXTRA_PEOPLE)), (float(x), float(y), 0.0, float(rng.uniform(-np.pi, np.pi)))))
    if rng.random() < 0.09:  # somebody half in the way
        y = place.y - rng.uniform(0.5, 1.3)
        x = place.x * y / place.y + rng.choice((-1, 1)) * rng.uniform(0.3, 0.5)
        out.append((int(rng.integers(EXTRA_PEOPLE)), (float(x), float(y), 0.0, float(np.radians(place.turn + rng.normal(0, 40))))))
    return out


class Studio:
    """Meshes and buffers that are used again for one crop after the other.

    Attributes:
        seed: Of the run; decides who the passers-by are.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._figure: Figure | None = None
        self._extras = [_extra(body_model(), seed, i) for i in range(EXTRA_PEOPLE)]
        most = max(len(slots) for _, slots, _ in self._extras)
        slots = np.zeros((EXTRA_PEOPLE, most), np.int32)
        for row, (_, mine, _) in zip(slots, self._extras, strict=True):
            row[: len(mine)] = mine
        self._extra_slots = wp.array(slots, dtype=int)
        self._extra_tints = wp.array(np.stack([tint for _, _, tint in self._extras]), dtype=float)

    def take(self, shot: Shot, samples: int = 2) -> Picture:
        """Cast the rays of a shot and develop the crop.

        Args:
            shot: What to render.
            samples: Rays per pixel along each axis.
        """
        self._prepare(shot)
        height, width = shot.size
        view = _view(shot, samples)
        colour = wp.zeros(height * width, dtype=wp.vec3f)
        part = wp.zeros((height * width, samples * samples), dtype=wp.uint8)
        surface = wp.zeros(height * width, dtype=wp.vec3f)
        ids, places, rows, props, walls = self._surroundings(shot)
        inputs = [view, self._mesh.id, self._mesh.indices, *self._constant, self._normals, self._cloth, self._materials, ids, places, rows,
                  self._extra_tints, self._extra_slots, props, walls, colour, part, surface]  # fmt: skip
        wp.launch(raycast.cast, dim=height * width, inputs=inputs, device="cpu")
        pixels = crops.develop(colour.numpy().reshape(height, width, 3), shot.camera, shot.box, shot.rng)
        hits = part.numpy().reshape(height, width, -1)
        mask = (hits != 255).mean(-1) >= 0.5
        normals = crops.normal_map(surface.numpy().reshape(height, width, 3), mask)
        return Picture(pixels, mask, crops.part_map(hits, len(SLOTS)), normals)

    def keypoints(self, shot: Shot) -> NDArray[np.float64]:
        """COCO key points of a shot, (17, 3): x and y in crop pixels, and 2 where seen, 1 where hidden, 0 where outside."""
        self._prepare(shot)
        view = _view(shot, 1)
        ids, places, _, props, walls = self._surroundings(shot)
        gap = wp.zeros(17, dtype=float)
        targets = wp.array(shot.posed.keypoints, dtype=wp.vec3f)
        wp.launch(raycast.depths, dim=17, inputs=[view, self._mesh.id, ids, places, props, walls, targets, gap], device="cpu")
        pixels = crops.to_pixels(shot.box, project(shot.camera, shot.posed.keypoints), shot.size)
        height, width = shot.size
        inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
        seen = np.where(gap.numpy() < 0.14, 2, 1)
        return np.concatenate([np.round(pixels.astype(np.float64), 2), np.where(inside, seen, 0)[:, None]], 1)

    def _prepare(self, shot: Shot) -> None:
        """Put the person's pose into the mesh."""
        figure = shot.figure
        if figure is not self._figure:
            self._figure, self._shot = figure, shot
            self._mesh = wp.Mesh(points=wp.array(shot.posed.vertices, dtype=wp.vec3f), indices=wp.array(figure.faces.ravel(), dtype=int))
            self._constant = [wp.array(figure.slots, dtype=int), wp.array(figure.charts, dtype=int)]
            self._normals = wp.array(shot.posed.normals, dtype=wp.vec3f)
            self._cloth = wp.array(figure.cloth, dtype=wp.vec3f)
            self._materials = wp.array(figure.materials, dtype=float)
        elif shot is not self._shot:
            self._shot = shot
            self._mesh.points.assign(shot.posed.vertices)
            self._normals.assign(shot.posed.normals)
            self._mesh.refit()

    def _surroundings(self, shot: Shot) -> tuple[wp.array, wp.array, wp.array, wp.array, wp.array]:
        chosen = shot.passers or [(0, (0.0, 0.0, 0.0, 0.0))]
        ids = np.array([self._extras[i][0].id for i, _ in chosen], np.uint64)
        props = shot.scene.props if len(shot.scene.props) else np.zeros((1, 16), np.float32)
        return (wp.array(ids, dtype=wp.uint64), wp.array(np.array([p for _, p in chosen], np.float32), dtype=wp.vec4f),
                wp.array(np.array([i for i, _ in chosen], np.int32), dtype=int), wp.array(props, dtype=float),
                wp.array(shot.scene.walls, dtype=float))  # fmt: skip


def _extra(model: BodyModel, seed: int, index: int) -> tuple[wp.Mesh, NDArray[np.int32], Array]:
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
    vectors = {"eye": camera.eye, "right": right, "up": up, "forward": forward, "sun": camera.sun, "sun_colour": camera.sun_colour,
               "sky": camera.sky, "bounce": camera.bounce, "haze": camera.haze, "person": (shot.place.x, shot.place.y, 0.0),
               "ground_a": scene.ground_a, "ground_b": scene.ground_b}  # fmt: skip
    for name, value in vectors.items():
        setattr(view, name, wp.vec3f(*(float(v) for v in value)))
    numbers = {"left_edge": box.left, "right_edge": box.right, "top_edge": box.top, "bottom_edge": box.bottom, "softness": camera.softness,
               "haze_per_metre": camera.haze_per_metre, "ground_scale": scene.scale, "ground_angle": scene.angle}  # fmt: skip
    for name, value in numbers.items():
        setattr(view, name, float(value))
    view.seed = int(abs(shot.place.x) * 1e5) % 100003
    view.samples, (view.height, view.width) = samples, shot.size
    view.walls, view.props, view.passers, view.ground_kind = len(scene.walls), len(scene.props), len(shot.passers), scene.ground
    return view
