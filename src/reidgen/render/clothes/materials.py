"""Colours, patterns and details of surfaces, drawn from a seed; numbers only.

Colours are linear RGB albedo. A material is a row of `COLUMNS` numbers that `surfaces` reads.
"""

from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]
COLUMNS = 32

# sRGB triples; the weights say how often people wear them
CLOTH_COLOURS: tuple[tuple[int, int, int, float], ...] = (
    (22, 22, 24, 9),
    (40, 41, 45, 5),
    (75, 77, 82, 4),
    (128, 130, 133, 4),
    (175, 176, 178, 3),
    (236, 235, 231, 8),
    (28, 36, 66, 6),
    (42, 66, 120, 3),
    (70, 110, 175, 3),
    (140, 178, 215, 3),
    (158, 32, 38, 3),
    (205, 52, 48, 2.5),
    (104, 28, 44, 2),
    (232, 140, 160, 1.5),
    (190, 90, 120, 1),
    (236, 196, 60, 1.8),
    (226, 120, 40, 1.6),
    (52, 92, 58, 2),
    (92, 106, 66, 2),
    (130, 170, 90, 1),
    (32, 120, 120, 1.5),
    (120, 90, 150, 1.2),
    (92, 66, 48, 2),
    (176, 148, 112, 3),
    (222, 205, 175, 2),
    (20, 150, 100, 0.8),
    (170, 220, 60, 0.5),
)
LOWER_COLOURS: tuple[tuple[int, int, int, float], ...] = (
    (24, 24, 26, 10),
    (44, 46, 50, 5),
    (86, 88, 92, 3),
    (34, 40, 62, 6),
    (182, 160, 124, 4),
    (112, 98, 78, 2.5),
    (80, 86, 62, 2),
    (214, 208, 196, 1.5),
    (96, 58, 46, 1),
    (140, 142, 145, 2),
    (130, 36, 44, 0.8),
    (60, 84, 130, 1.2),
)
DENIM = ((38, 50, 82), (62, 84, 124), (92, 116, 152), (128, 150, 178), (30, 34, 46))


@dataclass(frozen=True)
class Material:
    """Colours, pattern and details of a surface; fields in cloth coordinates (metres)."""

    kind: int = 0
    a: Colour = (0.5, 0.5, 0.5)
    b: Colour = (0.5, 0.5, 0.5)
    c: Colour = (0.5, 0.5, 0.5)
    size: float = 0.1
    duty: float = 0.5
    grain: float = 0.06
    gloss: float = 0.0
    print_kind: int = 0
    print_box: tuple[float, float, float, float] = (0.0, -0.2, 0.1, 0.07)
    sleeves: float = 0.0
    yoke: float = 9.0
    strap: int = 0
    strap_colour: Colour = (0.1, 0.1, 0.1)
    front_line: float = 0.0
    side_stripe: float = 0.0
    fade: float = 0.0
    seed: int = 0
    strap_at: float = -0.4
    print_back: float = 0.0
    strap_side: float = 1.0

    def row(self) -> Array:
        """The numbers for the kernel, (COLUMNS,)."""
        return np.hstack(astuple(self)).astype(np.float32)


def linear(colour: tuple[float, ...]) -> Colour:
    """An sRGB triple (0 to 255) as linear albedo."""
    r, g, b = ((float(v) / 255) ** 2.2 for v in colour[:3])
    return r, g, b


def pick(rng: np.random.Generator, table: tuple[tuple[float, ...], ...]) -> Colour:
    """A colour of a table, by its weights, a little lighter or darker."""
    weights = np.array([row[3] if len(row) > 3 else 1.0 for row in table])
    row = np.array(table[int(rng.choice(len(table), p=weights / weights.sum()))][:3], float)
    shaded = np.clip(row * rng.uniform(0.85, 1.12) + rng.normal(0, 5, 3), 8, 245)
    return linear(tuple(shaded))


def unlike(rng: np.random.Generator, table: tuple[tuple[float, ...], ...], other: Colour) -> Colour:
    """A colour that can be told from another at a distance."""
    best, far = other, -1.0
    for _ in range(4):
        colour = pick(rng, table)
        distance = float(np.abs(np.sqrt(colour) - np.sqrt(other)).sum())
        if distance > 0.55:
            return colour
        if distance > far:
            best, far = colour, distance
    return best


def upper_cloth(rng: np.random.Generator, cut: str) -> Material:
    """A colour or pattern with the details that go with a cut."""
    a = pick(rng, CLOTH_COLOURS)
    b, c = unlike(rng, CLOTH_COLOURS, a), unlike(rng, CLOTH_COLOURS, a)
    shares = {
        "shirt": (0.4, 0.04, 0.16, 0.3, 0.04, 0.06, 0, 0, 0, 0),
        "dress": (0.42, 0.12, 0.03, 0.06, 0.12, 0.25, 0, 0, 0, 0),
        "polo": (0.62, 0.24, 0, 0, 0, 0, 0.08, 0, 0, 0.06),
        "coat": (0.74, 0, 0, 0.12, 0, 0, 0, 0, 0.14, 0),
    }
    default = (0.5, 0.15, 0.02, 0.04, 0.03, 0.07, 0.06, 0.0, 0.07, 0.06)
    kind = int(
        rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), p=np.array(shares.get(cut, default)) / sum(shares.get(cut, default)))
    )
    size = {
        1: rng.uniform(0.03, 0.12),
        2: rng.uniform(0.025, 0.07),
        3: rng.uniform(0.05, 0.13),
        4: rng.uniform(0.03, 0.07),
        5: rng.uniform(0.06, 0.16),
        9: rng.uniform(0.03, 0.08),
    }.get(kind, 0.1)
    duty = {
        1: rng.uniform(0.25, 0.55),
        2: rng.uniform(0.2, 0.5),
        3: rng.uniform(0.35, 0.55),
        4: rng.uniform(0.2, 0.45),
        6: rng.uniform(-0.38, -0.2),
        9: rng.uniform(-0.34, -0.2),
    }.get(kind, 0.5)
    out = Material(
        kind, a, b, c, float(size), float(duty), float(rng.uniform(0.02, 0.07)), seed=int(rng.integers(1, 1000))
    )
    if kind in (0, 8) and cut in ("tshirt", "hoodie", "longsleeve", "tank", "jacket", "dress") and rng.random() < 0.5:
        small = rng.random() < 0.25
        half = float(rng.uniform(0.03, 0.045) if small else rng.uniform(0.075, 0.125))
        box = (
            0.08 if small else 0.0,
            -0.15 if small else float(rng.uniform(-0.26, -0.2)),
            half,
            half * float(rng.uniform(0.45, 1.1)),
        )
        out = replace(out, print_kind=int(rng.integers(1, 5)), print_box=box, print_back=float(rng.random() < 0.15))
    if kind in (0, 8) and cut not in ("shirt", "coat", "dress") and rng.random() < 0.2:
        out = replace(out, sleeves=1.0)
    if kind == 0 and cut in ("jacket", "hoodie", "polo") and rng.random() < 0.18:
        out = replace(out, yoke=float(rng.uniform(-0.2, -0.08)))
    if cut in ("jacket", "coat", "shirt") or (cut == "hoodie" and rng.random() < 0.4):
        out = replace(out, front_line=0.7 if cut == "jacket" else 0.35)
    if cut == "jacket":
        out = replace(out, gloss=float(rng.uniform(0.0, 0.12)))
    return out


def lower_cloth(rng: np.random.Generator, cut: str, upper: Colour) -> Material:
    """What trousers and skirts are made of, which can be told from the upper part."""
    seed = int(rng.integers(1, 1000))
    if cut == "jeans" or (cut in ("shorts", "skirt") and rng.random() < 0.3):
        a = linear(tuple(np.array(DENIM[int(rng.choice(5, p=(0.28, 0.26, 0.2, 0.1, 0.16)))]) * rng.uniform(0.85, 1.15)))
        return Material(7, a, a, a, duty=float(rng.uniform(0.1, 0.6)), fade=float(rng.uniform(0.0, 0.7)), seed=seed)
    a = unlike(rng, LOWER_COLOURS, upper) if cut != "skirt" else unlike(rng, CLOTH_COLOURS, upper)
    b = linear((228, 228, 226)) if rng.random() < 0.6 else unlike(rng, CLOTH_COLOURS, a)
    kind = 0
    if cut in ("skirt", "shorts", "wide", "leggings") and rng.random() < 0.32:
        kind = int(rng.choice((1, 3, 4, 5)))
    stripe = 0.014 if cut in ("trousers", "shorts", "leggings") and rng.random() < 0.16 else 0.0
    return Material(
        kind,
        a,
        b,
        b,
        float(rng.uniform(0.04, 0.12)),
        float(rng.uniform(0.2, 0.5)),
        float(rng.uniform(0.04, 0.09)),
        gloss=0.04 if cut == "leggings" else 0.0,
        side_stripe=stripe,
        seed=seed,
    )
