"""Places: the ground, walls, furniture and plants that a camera looks at, as numbers for the kernel.

A prop is a row: kind (0 box, 1 pole, 2 bush, 3 railing), centre (3), half size (3), yaw, colour (3), surface, second
colour (3).
A wall is a row: x, y of a point, yaw, bottom, height, kinds of its bays (2), bay width, colours (9), seed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render.cameras import Camera
from reidgen.render.clothes.materials import linear

Array = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]
PROP_COLUMNS, WALL_COLUMNS = 16, 18
GREYS = (
    (96, 96, 94),
    (132, 130, 126),
    (162, 158, 150),
    (116, 112, 104),
    (150, 140, 126),
    (78, 80, 84),
    (176, 172, 166),
)
PAINTS = (
    (168, 152, 128),
    (198, 188, 168),
    (150, 84, 66),
    (126, 62, 50),
    (92, 98, 104),
    (60, 66, 74),
    (214, 208, 198),
    (176, 160, 96),
    (86, 110, 122),
    (130, 138, 118),
    (190, 130, 100),
)
BRIGHT = (
    (180, 40, 40),
    (30, 80, 150),
    (230, 180, 40),
    (30, 110, 70),
    (230, 230, 226),
    (40, 40, 44),
    (220, 110, 40),
    (90, 50, 120),
)


@dataclass(frozen=True, eq=False)
class Scene:
    """Ground kind, scale, angle and two colours; walls (N, 18); props (M, 16)."""

    ground: int
    scale: float
    angle: float
    ground_a: Colour
    ground_b: Colour
    walls: Array
    props: Array


def _colour(rng: np.random.Generator, table: tuple[tuple[int, int, int], ...]) -> Colour:
    row = np.array(table[int(rng.integers(len(table)))]) * rng.uniform(0.8, 1.15) + rng.normal(0, 4, 3)
    return linear(tuple(np.clip(row, 10, 240)))


def sample_scene(camera: Camera, rng: np.random.Generator) -> Scene:
    """A random place in front of a camera."""
    ground = int(rng.choice(9, p=(0.14, 0.2, 0.13, 0.12, 0.07, 0.07, 0.12, 0.07, 0.08)))
    a, b = _colour(rng, GREYS), _colour(rng, GREYS)
    if ground == 4:
        a, b = linear((62, 92, 40)), linear((112, 128, 66))
    if ground == 5:
        a, b = linear((120, 92, 66)), linear((146, 120, 92))
    if ground == 3:
        a = linear(tuple(np.array((70, 71, 74)) * rng.uniform(0.8, 1.3)))
    walls = _walls(camera, rng)
    props = _behind(camera, rng) + _in_front(camera, rng)
    table = np.array(props, np.float32) if props else np.zeros((0, PROP_COLUMNS), np.float32)
    return Scene(
        ground,
        float(rng.uniform(0.35, 1.0)),
        float(rng.choice((0, 0.5 * np.pi, rng.uniform(0, np.pi)))),
        a,
        b,
        np.array(walls, np.float32),
        table,
    )


def _wall(
    rng: np.random.Generator, x: float, y: float, yaw: float, height: float, kinds: tuple[int, int]
) -> list[float]:
    return [
        x,
        y,
        yaw,
        0.0,
        height,
        *kinds,
        float(rng.uniform(2.2, 5.5)),
        *_colour(rng, PAINTS),
        *_colour(rng, PAINTS),
        *_colour(rng, BRIGHT),
        float(rng.integers(1, 500)),
    ]


def _walls(camera: Camera, rng: np.random.Generator) -> list[list[float]]:
    """A front behind the people or far away, sometimes one at the side, and always the far street."""
    out = []
    style = str(rng.choice(("shops", "house", "hedge", "office", "open"), p=(0.25, 0.3, 0.1, 0.17, 0.18)))
    kinds = {
        "shops": (2, int(rng.choice((2, 6, 8, 9)))),
        "house": (int(rng.choice((0, 1, 6, 7))), int(rng.choice((0, 1, 6, 9, 8)))),
        "hedge": (4, 4),
        "office": (5, int(rng.choice((5, 7, 3)))),
    }
    distance = camera.far + float(rng.uniform(0.7, 4.5))
    if style != "open":
        first, second = kinds[style]
        if style == "house" and rng.random() < 0.4:
            second = first
        height = float(rng.uniform(1.0, 2.2)) if style == "hedge" else float(rng.uniform(3.5, 8))
        out.append(_wall(rng, 0.0, distance, float(rng.normal(0, 0.14)), height, (first, second)))
    if rng.random() < 0.3:
        side = float(rng.choice((-1, 1)))
        kind = int(rng.choice((0, 1, 2, 5, 6, 7, 3)))
        out.append(
            _wall(
                rng,
                side * camera.far * (camera.spread + 0.12),
                0.0,
                -side * 0.5 * np.pi + float(rng.normal(0, 0.1)),
                5.0,
                (kind, kind),
            )
        )
    far = _wall(rng, 0.0, float(rng.uniform(28, 50)), 0.0, float(rng.uniform(6, 16)), (10, 10))
    far[8:14] = [*linear((92, 94, 92)), *linear((170, 172, 172))]
    return [*out, far]


def _prop(
    kind: int,
    centre: tuple[float, float, float],
    half: tuple[float, float, float],
    yaw: float,
    colour: Colour,
    surface: int = 0,
    second: Colour = (0.6, 0.6, 0.6),
) -> list[float]:
    return [float(kind), *centre, *half, yaw, *colour, float(surface), *second, 0.0]


def _behind(camera: Camera, rng: np.random.Generator) -> list[list[float]]:
    """Furniture and plants beyond the people."""
    out: list[list[float]] = []
    for _ in range(int(rng.integers(1, 6))):
        y = camera.far + float(rng.uniform(0.3, 2.5))
        x = float(rng.uniform(-1, 1)) * y * (camera.spread + 0.15)
        what = str(
            rng.choice(
                ("planter", "bench", "bin", "lamp", "tree", "car", "bush", "sign", "railing", "box"),
                p=(0.16, 0.1, 0.1, 0.12, 0.12, 0.1, 0.1, 0.08, 0.07, 0.05),
            )
        )
        out += furniture(what, x, y, rng)
    if rng.random() < 0.28:
        y = camera.far + float(rng.uniform(0.2, 1.0))
        out.append(
            _prop(
                3,
                (0, y, 0.55),
                (14, 0, 0.55),
                float(rng.normal(0, 0.1)),
                _colour(rng, ((60, 60, 62), (130, 132, 134), (90, 40, 36), (200, 200, 198))),
            )
        )
    return out


def furniture(what: str, x: float, y: float, rng: np.random.Generator) -> list[list[float]]:
    """The props of a thing that stands at (x, y)."""
    u, yaw = rng.uniform, float(rng.normal(0, 0.3))
    grey, paint, bright = _colour(rng, GREYS), _colour(rng, PAINTS), _colour(rng, BRIGHT)
    green = linear(tuple(np.array((58, 84, 40)) * u(0.75, 1.35)))
    if what == "planter":
        w = float(u(0.35, 0.8))
        return [
            _prop(0, (x, y, 0.25), (w, 0.35, 0.25), yaw, paint),
            _prop(2, (x, y, 0.75), (w, 0.45, 0.45), 0, green, 1),
        ]
    if what == "bench":
        return [
            _prop(0, (x, y, 0.43), (0.8, 0.22, 0.04), yaw, paint),
            _prop(0, (x, y + 0.2, 0.7), (0.8, 0.03, 0.14), yaw, paint),
            _prop(0, (x, y, 0.2), (0.7, 0.16, 0.2), yaw, (0.02, 0.02, 0.02)),
        ]
    if what == "bin":
        return [_prop(1, (x, y, 0.45), (0.26, 0.26, 0.45), 0, grey if rng.random() < 0.5 else bright)]
    if what == "lamp":
        return [_prop(1, (x, y, 2.5), (float(u(0.05, 0.1)), 0.1, 2.5), 0, grey)]
    if what == "tree":
        r = float(u(0.1, 0.22))
        bark = linear((84, 72, 58))
        return [_prop(1, (x, y, 1.6), (r, r, 1.6), 0, bark, 3), _prop(2, (x, y, 4.1), (1.6, 1.6, 1.5), 0, green, 1)]
    if what == "car":
        body = _colour(
            rng, ((30, 30, 32), (150, 152, 155), (225, 225, 225), (120, 26, 28), (40, 60, 100), (90, 92, 94))
        )
        return [
            _prop(0, (x, y + 1.2, 0.55), (2.1, 0.85, 0.38), yaw, body, 0),
            _prop(0, (x + 0.1, y + 1.2, 1.15), (1.15, 0.72, 0.28), yaw, body, 2),
        ]
    if what == "bush":
        s = float(u(0.4, 0.9))
        return [_prop(2, (x, y, 0.8 * s), (s, s, 0.85 * s), 0, green, 1)]
    if what == "sign":
        return [
            _prop(1, (x, y, 1.2), (0.035, 0.035, 1.2), 0, grey),
            _prop(0, (x, y - 0.05, 2.1), (0.3, 0.02, 0.3), yaw, bright),
        ]
    if what == "railing":
        return [_prop(3, (x, y, 0.5), (1.6, 0, 0.5), yaw, grey)]
    if what == "bollard":
        return [
            _prop(1, (x, y, 0.45), (0.08, 0.08, 0.45), 0, bright if rng.random() < 0.4 else grey, 4, (0.7, 0.7, 0.68))
        ]
    if what == "hoops":
        return [_prop(3, (x + 0.5 * i, y, 0.4), (0.04, 0, 0.4), 1.2, grey) for i in range(4)] + [
            _prop(1, (x + 0.5 * i, y, 0.4), (0.03, 0.03, 0.4), 0, grey) for i in range(4)
        ]
    return [_prop(0, (x, y, 0.6), (0.45, 0.35, 0.6), yaw, paint if rng.random() < 0.6 else bright)]


def _in_front(camera: Camera, rng: np.random.Generator) -> list[list[float]]:
    """Now and then things between camera and people, which hide a part of some of them."""
    out: list[list[float]] = []
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 3))):
            y = float(rng.uniform(camera.near - 1.2, 0.6 * camera.near + 0.4 * camera.far))
            x = float(rng.choice((-1, 1)) * rng.uniform(0.25, 1.0)) * y * camera.spread
            out += furniture(
                str(rng.choice(("bollard", "bollard", "lamp", "hoops", "hoops", "railing", "planter"))), x, y, rng
            )
    return out


def clear_of_props(scene: Scene, x: float, y: float, margin: float = 0.45) -> bool:
    """Whether a person at (x, y) stands outside all props."""
    for row in scene.props:
        offset = np.array([x - row[1], y - row[2]])
        c, s = np.cos(row[7]), np.sin(row[7])
        local = np.abs([offset[0] * c + offset[1] * s, offset[1] * c - offset[0] * s])
        if local[0] < row[4] + margin and local[1] < max(row[5], 0.02) + margin:
            return False
    return True
