"""One picture of one person: place, pose, passers-by, rays: a pure function of seed, person, camera and index."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render import crops
from reidgen.render.bodies.body import body_model
from reidgen.render.bodies.figure import Figure, Posed, dress, pose_figure
from reidgen.render.bodies.poses import Pose, sample_pose
from reidgen.render.bodies.wardrobe import sample_outfit
from reidgen.render.cameras import Camera, Place, project, sample_camera, sample_place
from reidgen.render.crops import Box
from reidgen.render.scene import Scene, clear_of_props, sample_scene

Array = NDArray[np.floating[Any]]
PERSON, CAMERA, SHOT, EXTRAS, NOISE = 1, 2, 3, 4, 5  # streams of random numbers
EXTRA_PEOPLE = 10
Passer = tuple[int, tuple[float, float, float, float]]


@dataclass(frozen=True, eq=False)
class Shot:
    """All that is needed to cast the rays of a crop.

    Attributes:
        camera, scene, place, pose, box: Where, how and what is cut out.
        figure, posed: The person; vertices and key points in the world.
        passers: Index of each passer-by among the extras, and (x, y, z, turn).
        size: (height, width) of the crop.
        key: Seed of the random numbers with which the crop is developed.
    """

    camera: Camera
    scene: Scene
    place: Place
    pose: Pose
    box: Box
    figure: Figure
    posed: Posed
    passers: list[Passer]
    size: tuple[int, int]
    key: tuple[int, ...]


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
    key = (seed, NOISE, pid, camid, index)
    return Shot(camera, scene, place, pose, box, figure, posed, _passers(place, rng), size, key)


def _placed(posed: Posed, place: Place) -> Posed:
    c, s = np.cos(np.radians(place.turn)), np.sin(np.radians(place.turn))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    at = np.array([place.x, place.y, 0], np.float32)
    return Posed(posed.vertices @ turn.T + at, posed.normals @ turn.T, posed.keypoints @ turn.T + at)


def _passers(place: Place, rng: np.random.Generator) -> list[Passer]:
    out: list[Passer] = []
    if rng.random() < 0.3:  # somebody further off
        y = place.y + rng.uniform(0.9, 4.5)
        x = place.x * y / place.y + rng.normal(0, 0.55)
        out.append((int(rng.integers(EXTRA_PEOPLE)), (float(x), float(y), 0.0, float(rng.uniform(-np.pi, np.pi)))))
    if rng.random() < 0.09:  # somebody half in the way
        y = place.y - rng.uniform(0.5, 1.3)
        x = place.x * y / place.y + rng.choice((-1, 1)) * rng.uniform(0.3, 0.5)
        turn = float(np.radians(place.turn + rng.normal(0, 40)))
        out.append((int(rng.integers(EXTRA_PEOPLE)), (float(x), float(y), 0.0, turn)))
    return out
