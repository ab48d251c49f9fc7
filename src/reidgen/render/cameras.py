"""Cameras: where each hangs, what light it sees, which way people walk past it, and what it does to colours.

The camera stands at (0, 0, height), looks along +y and down; x is to the right of the picture, z up, metres.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """All that stays the same in a camera's pictures.

    Attributes:
        height, pitch: Metres above the ground, degrees downwards.
        near, far: Distances along the ground at which people are seen, metres.
        spread: People are seen within this tangent to the left and right.
        heading: Direction in degrees in which most people look: 0 towards the camera, 90 to the right of the picture.
        reverse: Share of the people who walk the other way.
        wander: Spread of the headings, degrees.
        focal: Pixels of the sensor per unit tangent: decides how sharp a far person can be.
        sun, sun_colour, sky, bounce, haze: Light (direction and linear colours); shade: share of pictures without sun.
        softness: Radius of the light's disc in radians.
        haze_per_metre: Share of the light lost on the way.
        exposure, gains, saturation, contrast, black: Response to light.
        blur, motion, sharpen, noise, quality: Pixels, pixels, share, standard deviation, JPEG.
        looseness: How loose the boxes of its detector are.
    """

    height: float
    pitch: float
    near: float
    far: float
    spread: float
    heading: float
    reverse: float
    wander: float
    focal: float
    sun: Triple
    sun_colour: Triple
    sky: Triple
    bounce: Triple
    haze: Triple
    shade: float
    softness: float
    haze_per_metre: float
    exposure: float
    gains: Triple
    saturation: float
    contrast: float
    black: float
    blur: float
    motion: float
    sharpen: float
    noise: float
    quality: int
    looseness: float

    @property
    def axes(self) -> tuple[Array, Array, Array]:
        """Right, up and forward as unit vectors."""
        p = np.radians(self.pitch)
        return (
            np.array([1, 0, 0], np.float32),
            np.array([0, np.sin(p), np.cos(p)], np.float32),
            np.array([0, np.cos(p), -np.sin(p)], np.float32),
        )

    @property
    def eye(self) -> Array:
        """Where it hangs."""
        return np.array([0, 0, self.height], np.float32)


def project(camera: Camera, points: Array) -> Array:
    """Pinhole projection of points (N, 3) to (right, up) on the image plane at distance one, (N, 2)."""
    right, up, forward = camera.axes
    offset = points - camera.eye
    depth = offset @ forward
    return np.stack([offset @ right / depth, offset @ up / depth], 1).astype(np.float32)


def sample_camera(rng: np.random.Generator) -> Camera:
    """A random camera."""
    u = rng.uniform
    height = float(u(2.2, 5.2))
    near = float(u(4.5, 8.0))
    far = near + float(u(3.0, 8.0))
    light = _light(rng)
    level = light.pop("level")
    return Camera(
        height=height,
        pitch=float(np.degrees(np.arctan2(height - 0.9, 0.5 * (near + far))) + u(-3, 3)),
        near=near,
        far=far,
        spread=float(u(0.22, 0.42)),
        heading=float(rng.choice((0, 180, 90, -90, 35, -35, 145, -145)) + rng.normal(0, 12)),
        reverse=float(u(0.05, 0.5)),
        wander=float(u(10, 26)),
        focal=float(u(650, 1500)),
        **light,
        exposure=level * float(np.exp(rng.normal(0, 0.17))),
        gains=_triple(np.exp(rng.normal(0, 0.04, 3) + rng.normal(0, 0.05) * np.array([1, 0, -1]))),
        saturation=float(u(0.7, 1.15)),
        contrast=float(u(0.3, 1.0)),
        black=float(u(0.0, 0.04)),
        blur=float(u(0.25, 0.75)),
        motion=float(max(0, rng.normal(0.3, 0.5))),
        sharpen=float(max(0, u(-0.3, 0.7))),
        noise=float(u(0.003, 0.013)),
        quality=int(rng.integers(78, 95)),
        looseness=float(u(0.5, 1.3)),
    )


def _triple(values: NDArray[np.floating[Any]]) -> Triple:
    a, b, c = (float(v) for v in values)
    return a, b, c


def _light(rng: np.random.Generator) -> dict[str, Any]:
    kind = str(rng.choice(("sunny", "overcast", "shade", "lamps"), p=(0.34, 0.34, 0.17, 0.15)))
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(28, 68))
    warm = float(rng.normal(0, 0.04))
    tint = np.array([1 + warm, 1, 1 - warm])
    strength, sky, soft, shade = {
        "sunny": (rng.uniform(1.0, 2.0), rng.uniform(0.35, 0.6), 0.015, rng.uniform(0, 0.5)),
        "overcast": (rng.uniform(0.1, 0.4), rng.uniform(0.75, 1.0), 0.35, 0.0),
        "shade": (rng.uniform(0.15, 0.45), rng.uniform(0.45, 0.75), 0.3, 0.0),
        "lamps": (rng.uniform(0.5, 1.0), rng.uniform(0.3, 0.5), 0.12, 0.0),
    }[kind]
    if kind == "lamps":
        elevation = np.radians(rng.uniform(62, 84))
        tint = tint * np.array([1.07, 1.0, 0.88])
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    blue = np.array([0.93, 1.0, 1.1]) if kind in ("sunny", "shade") else np.ones(3)
    sky_colour = sky * blue * tint
    return {
        "sun": _triple(direction),
        "sun_colour": _triple(strength * tint * np.array([1.04, 1.0, 0.93])),
        "sky": _triple(sky_colour),
        "bounce": _triple((0.25 * strength * np.sin(elevation) + 0.3 * sky) * np.array([1.0, 0.97, 0.92])),
        "haze": _triple(np.clip(sky_colour * 1.1, 0, 1.2)),
        "shade": float(shade),
        "softness": soft,
        "haze_per_metre": float(rng.uniform(0.0, 0.006)),
        "level": 1.1 / float(strength * np.sin(elevation) + 0.9 * sky),
    }


@dataclass(frozen=True)
class Place:
    """Where a person is seen: place on the ground (metres), heading in the world, and yaw to the camera (degrees)."""

    x: float
    y: float
    turn: float
    yaw: float


def sample_place(camera: Camera, rng: np.random.Generator) -> Place:
    """A random spot of the camera's field, and which way the person looks there.

    `turn` rotates a person who faces the camera's plane (-y) about z. `yaw` is 0 for a person who faces the camera,
    90 for one who looks to the right of the picture, in (-180, 180].
    """
    y = float(rng.uniform(camera.near, camera.far))
    x = float(rng.uniform(-1, 1) * camera.spread * y)
    heading = camera.heading + (180 if rng.random() < camera.reverse else 0) + rng.normal(0, camera.wander)
    if rng.random() < 0.12:
        heading = rng.uniform(-180, 180)
    towards = np.degrees(np.arctan2(x, y))  # the camera seen from the person, from -y, clockwise
    yaw = wrap(heading + towards)
    return Place(x, y, wrap(heading), yaw)


def wrap(degrees: float) -> float:
    """An angle in (-180, 180]."""
    return float(180 - (180 - degrees) % 360)
