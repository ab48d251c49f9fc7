"""What a person looks like and wears, drawn from a seed; numbers only, no geometry.

Colours are linear RGB albedo. A material is a row of `COLUMNS` numbers that `surfaces` reads.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]
SLOTS = ("head", "arms", "legs", "hair", "hat", "upper", "inner", "lower", "shoes", "bag", "held")
COLUMNS = 32
UPPER_CUTS = ("tshirt", "polo", "longsleeve", "shirt", "hoodie", "jacket", "coat", "tank", "dress")
LOWER_CUTS = ("trousers", "jeans", "wide", "leggings", "shorts", "skirt")
HAIR_CUTS = ("bald", "buzz", "short", "full", "bob", "long", "ponytail", "bun", "afro")
BAGS = ("none", "backpack", "crossbody", "tote", "handbag")
HATS = ("none", "cap", "beanie", "brim", "hood")

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
SKIN = ((240, 206, 182), (228, 188, 158), (214, 168, 134), (190, 140, 104), (150, 104, 74), (110, 74, 54), (76, 52, 40))
HAIR = (
    (18, 15, 14),
    (28, 22, 19),
    (50, 34, 24),
    (84, 56, 36),
    (122, 88, 56),
    (170, 136, 88),
    (130, 128, 126),
    (196, 194, 190),
    (112, 48, 28),
)
SHOES = (
    (20, 20, 22),
    (236, 236, 234),
    (110, 112, 116),
    (44, 54, 84),
    (150, 40, 40),
    (116, 80, 52),
    (190, 160, 120),
    (60, 90, 60),
    (70, 130, 190),
)


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
        values = [
            self.kind,
            *self.a,
            *self.b,
            *self.c,
            self.size,
            self.duty,
            self.grain,
            self.gloss,
            self.print_kind,
            *self.print_box,
            self.sleeves,
            self.yoke,
            self.strap,
            *self.strap_colour,
            self.front_line,
            self.side_stripe,
            self.fade,
            self.seed,
            self.strap_at,
            self.print_back,
            self.strap_side,
        ]
        assert len(values) == COLUMNS
        return np.array(values, np.float32)


@dataclass(frozen=True)
class Garment:
    """A cut and how it sits: ease in metres off the body, hem and sleeve as shares of the limb, flare at the hem."""

    cut: str
    ease: float
    hem: float
    sleeve: float = 0.0
    flare: float = 0.0
    open_front: float = 0.0
    collar: str = "crew"


@dataclass(frozen=True)
class Outfit:
    """All that is particular to one person."""

    phenotype: dict[str, float]
    upper: Garment
    lower: Garment
    hair: str
    hair_length: float
    shoes: str
    hat: str
    bag: str
    bag_side: float
    bag_size: tuple[float, float, float]
    held: str
    inner: bool
    materials: dict[str, Material] = field(default_factory=dict)

    def material_rows(self) -> Array:
        """Materials in the order of `SLOTS`, (slots, COLUMNS)."""
        return np.stack([self.materials.get(slot, Material()).row() for slot in SLOTS])


def linear(colour: tuple[float, ...]) -> Colour:
    """An sRGB triple (0 to 255) as linear albedo."""
    r, g, b = ((float(v) / 255) ** 2.2 for v in colour[:3])
    return r, g, b


def _pick(rng: np.random.Generator, table: tuple[tuple[float, ...], ...]) -> Colour:
    weights = np.array([row[3] if len(row) > 3 else 1.0 for row in table])
    row = np.array(table[int(rng.choice(len(table), p=weights / weights.sum()))][:3], float)
    shaded = np.clip(row * rng.uniform(0.85, 1.12) + rng.normal(0, 5, 3), 8, 245)
    return linear(tuple(shaded))


def _unlike(rng: np.random.Generator, table: tuple[tuple[float, ...], ...], other: Colour) -> Colour:
    """A colour that can be told from another at a distance."""
    best, far = other, -1.0
    for _ in range(4):
        colour = _pick(rng, table)
        distance = float(np.abs(np.sqrt(colour) - np.sqrt(other)).sum())
        if distance > 0.55:
            return colour
        if distance > far:
            best, far = colour, distance
    return best


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """A random person: body, clothes, hair, shoes, bag, hat."""
    male = bool(rng.random() < 0.52)
    winter = bool(rng.random() < 0.4)
    phenotype = _phenotype(rng, male)
    upper = _upper(rng, male, winter)
    lower = _lower(rng, male, winter, upper.cut)
    bag = str(rng.choice(BAGS, p=(0.44, 0.27, 0.12, 0.08, 0.09) if not male else (0.5, 0.34, 0.12, 0.02, 0.02)))
    hat = str(rng.choice(HATS, p=(0.84, 0.07, 0.05 if winter else 0.0, 0.02, 0.02 if winter else 0.07)))
    if hat == "hood" and upper.collar != "hood":
        hat = "none"
    hair = str(
        rng.choice(
            HAIR_CUTS,
            p=(0.07, 0.18, 0.42, 0.26, 0.01, 0.02, 0.01, 0.01, 0.02)
            if male
            else (0.0, 0.01, 0.06, 0.09, 0.21, 0.31, 0.18, 0.11, 0.03),
        )
    )
    outfit = Outfit(
        phenotype,
        upper,
        lower,
        hair,
        float(rng.uniform(0.1, 0.32)),
        str(
            rng.choice(
                ("sneaker", "shoe", "boot", "sandal"), p=(0.62, 0.22, 0.1, 0.06) if winter else (0.66, 0.16, 0.04, 0.14)
            )
        ),
        hat,
        bag,
        float(rng.choice((-1.0, 1.0))),
        (float(rng.uniform(0.115, 0.16)), float(rng.uniform(0.055, 0.1)), float(rng.uniform(0.17, 0.25))),
        str(rng.choice(("none", "phone", "paper", "cup"), p=(0.83, 0.1, 0.03, 0.04))),
        upper.open_front > 0,
    )
    return replace(outfit, materials=_materials(rng, outfit, male))


def _phenotype(rng: np.random.Generator, male: bool) -> dict[str, float]:
    age = (
        float(np.clip(rng.beta(1.6, 2.9) * 0.46 + 0.57, 0, 1))
        if rng.random() < 0.95
        else float(rng.uniform(0.42, 0.52))
    )
    gender = rng.uniform(0.0, 0.16) if male else rng.uniform(0.84, 1.0)
    return {
        "gender": float(gender),
        "age": age,
        "muscle": float(np.clip(rng.normal(0.55 if male else 0.44, 0.12), 0.15, 0.9)),
        "weight": float(np.clip(rng.normal(0.5, 0.19), 0.12, 0.98)),
        "height": float(np.clip(rng.normal(0.5, 0.13), 0.15, 0.85)),
        "proportions": float(np.clip(rng.normal(0.6, 0.18), 0.1, 1)),
    }


def _upper(rng: np.random.Generator, male: bool, winter: bool) -> Garment:
    warm = (0.03, 0.02, 0.18, 0.13, 0.22, 0.27, 0.15, 0.0, 0.0)
    mild = (
        (0.47, 0.1, 0.11, 0.14, 0.08, 0.07, 0.0, 0.03, 0.0)
        if male
        else (0.34, 0.03, 0.14, 0.11, 0.07, 0.08, 0.02, 0.1, 0.11)
    )
    cut = str(rng.choice(UPPER_CUTS, p=warm if winter else mild))
    u = rng.uniform
    opened = float(u(0.02, 0.075)) if cut in ("jacket", "coat", "shirt", "hoodie") and rng.random() < 0.42 else 0.0
    sleeve = float(u(0.34, 0.5)) if cut == "shirt" and not winter and rng.random() < 0.35 else 0.96
    return {
        "tshirt": Garment(cut, u(0.012, 0.026), u(0.16, 0.34), u(0.26, 0.44), u(0.008, 0.03)),
        "polo": Garment(cut, u(0.01, 0.022), u(0.16, 0.28), u(0.3, 0.42), u(0.004, 0.02), collar="collar"),
        "longsleeve": Garment(cut, u(0.009, 0.02), u(0.14, 0.3), u(0.9, 0.99), 0.0),
        "shirt": Garment(cut, u(0.012, 0.026), u(0.18, 0.34), sleeve, u(0.0, 0.02), opened, "collar"),
        "hoodie": Garment(cut, u(0.024, 0.038), u(0.14, 0.26), 0.98, -0.012, opened, "hood"),
        "jacket": Garment(cut, u(0.024, 0.042), u(0.12, 0.34), 0.99, u(-0.012, 0.015), opened, "stand"),
        "coat": Garment(cut, u(0.026, 0.04), u(0.34, 0.72), 0.99, u(0.01, 0.06), opened, "collar"),
        "tank": Garment(cut, u(0.007, 0.014), u(0.12, 0.24), 0.0, 0.0, collar="scoop"),
        "dress": Garment(cut, u(0.008, 0.016), u(0.62, 1.05), u(0.0, 0.4), u(0.02, 0.12), collar="scoop"),
    }[cut]


def _lower(rng: np.random.Generator, male: bool, winter: bool, upper: str) -> Garment:
    if upper == "dress":
        return Garment("leggings", 0.004, 0.97) if rng.random() < 0.2 else Garment("none", 0.0, 0.0)
    cold = (0.34, 0.46, 0.1, 0.08, 0.0, 0.02) if male else (0.2, 0.34, 0.1, 0.24, 0.0, 0.12)
    warm = (0.25, 0.34, 0.08, 0.0, 0.33, 0.0) if male else (0.13, 0.29, 0.1, 0.13, 0.16, 0.19)
    cut = str(rng.choice(LOWER_CUTS, p=cold if winter else warm))
    u = rng.uniform
    return {
        "trousers": Garment(cut, u(0.01, 0.02), u(0.92, 1.0), flare=u(0.0, 0.022)),
        "jeans": Garment(cut, u(0.007, 0.016), u(0.93, 1.0), flare=u(-0.004, 0.016)),
        "wide": Garment(cut, u(0.014, 0.024), u(0.86, 1.0), flare=u(0.02, 0.05)),
        "leggings": Garment(cut, 0.004, u(0.86, 0.99)),
        "shorts": Garment(cut, u(0.014, 0.026), u(0.28, 0.56), flare=u(0.01, 0.045)),
        "skirt": Garment(cut, 0.012, u(0.36, 0.95), flare=u(0.02, 0.13)),
    }[cut]


def _materials(rng: np.random.Generator, outfit: Outfit, male: bool) -> dict[str, Material]:
    skin = linear(
        tuple(
            np.clip(
                np.array(SKIN[int(rng.choice(7, p=(0.17, 0.24, 0.2, 0.15, 0.1, 0.08, 0.06)))]) + rng.normal(0, 5, 3),
                30,
                250,
            )
        )
    )
    old = outfit.phenotype["age"] > 0.86
    light = skin[0] > 0.5
    tones = (
        (0.22, 0.22, 0.19, 0.14, 0.09, 0.06, 0.03, 0.02, 0.03)
        if light
        else (0.54, 0.31, 0.08, 0.02, 0.01, 0.01, 0.02, 0.01, 0.0)
    )
    hair = linear(HAIR[int(rng.choice((6, 7))) if old and rng.random() < 0.7 else int(rng.choice(9, p=tones))])
    upper = _cloth(rng, CLOTH_COLOURS, outfit.upper)
    lower = _lower_cloth(rng, outfit.lower, upper.a)
    if outfit.upper.cut == "dress" and outfit.lower.cut == "none":
        lower = upper
    bag = linear((30, 30, 33)) if rng.random() < 0.45 else _unlike(rng, CLOTH_COLOURS, upper.a)
    if outfit.bag in ("backpack", "crossbody", "tote"):
        upper = replace(
            upper,
            strap={"backpack": 1, "crossbody": 2, "tote": 3}[outfit.bag],
            strap_colour=(0.8 * bag[0], 0.8 * bag[1], 0.8 * bag[2]),
            strap_at={"backpack": -0.4, "crossbody": -0.22, "tote": -0.3}[outfit.bag],
            strap_side=outfit.bag_side,
        )
    shoe = linear(SHOES[int(rng.choice(9, p=(0.34, 0.24, 0.1, 0.08, 0.05, 0.08, 0.05, 0.02, 0.04)))])
    sole = linear((225, 224, 218)) if outfit.shoes == "sneaker" and rng.random() < 0.7 else linear((34, 32, 30))
    sock = linear((232, 232, 230)) if rng.random() < 0.6 else linear((28, 28, 30))
    beard = float(rng.uniform(0.25, 0.95)) if male and rng.random() < 0.24 else 0.0
    legs = Material(
        6,
        skin,
        sock,
        duty=float(rng.uniform(0.09, 0.2)) if rng.random() < 0.6 and outfit.shoes != "sandal" else -1.0,
        grain=0.05,
    )
    if outfit.lower.cut in ("skirt", "none") and rng.random() < 0.35:
        legs = Material(0, linear((26, 25, 27)) if rng.random() < 0.7 else linear((120, 96, 84)), gloss=0.02)
    return {
        "head": Material(
            20,
            skin,
            hair,
            linear((200, 210, 220)) if rng.random() < 0.6 else linear((30, 30, 34)),
            duty=beard,
            gloss=2.0 if rng.random() < 0.06 else 0.0,
            print_kind=int(rng.choice(3, p=(0.75, 0.19, 0.06))),
            seed=1,
        ),
        "arms": Material(0, skin, grain=0.05, gloss=0.02),
        "legs": legs,
        "hair": Material(21, hair, gloss=0.03, seed=int(rng.integers(1000))),
        "hat": upper if outfit.hat == "hood" else Material(0, _unlike(rng, CLOTH_COLOURS, hair), grain=0.1),
        "upper": upper,
        "lower": lower,
        "inner": _cloth(rng, CLOTH_COLOURS, Garment("tshirt", 0.01, 0.2)),
        "shoes": Material(
            22, shoe, sole, shoe if rng.random() < 0.7 else linear((230, 230, 228)), size=0.024, duty=0.74, gloss=0.03
        ),
        "bag": Material(23, bag, bag if rng.random() < 0.6 else _pick(rng, CLOTH_COLOURS), gloss=0.03, seed=2),
        "held": Material(
            0,
            linear(
                {"phone": (25, 25, 28), "paper": (235, 235, 230), "cup": (225, 220, 210)}.get(outfit.held, (90, 90, 90))
            ),
        ),
    }


def _cloth(rng: np.random.Generator, table: tuple[tuple[float, ...], ...], garment: Garment) -> Material:
    """A colour or pattern with the details that go with a cut."""
    cut = garment.cut
    a = _pick(rng, table)
    b, c = _unlike(rng, table, a), _unlike(rng, table, a)
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


def _lower_cloth(rng: np.random.Generator, garment: Garment, upper: Colour) -> Material:
    seed = int(rng.integers(1, 1000))
    if garment.cut == "jeans" or (garment.cut in ("shorts", "skirt") and rng.random() < 0.3):
        a = linear(tuple(np.array(DENIM[int(rng.choice(5, p=(0.28, 0.26, 0.2, 0.1, 0.16)))]) * rng.uniform(0.85, 1.15)))
        return Material(7, a, a, a, duty=float(rng.uniform(0.1, 0.6)), fade=float(rng.uniform(0.0, 0.7)), seed=seed)
    a = _unlike(rng, LOWER_COLOURS, upper) if garment.cut != "skirt" else _unlike(rng, CLOTH_COLOURS, upper)
    b = linear((228, 228, 226)) if rng.random() < 0.6 else _unlike(rng, CLOTH_COLOURS, a)
    kind = 0
    if garment.cut in ("skirt", "shorts", "wide", "leggings") and rng.random() < 0.32:
        kind = int(rng.choice((1, 3, 4, 5)))
    stripe = 0.014 if garment.cut in ("trousers", "shorts", "leggings") and rng.random() < 0.16 else 0.0
    return Material(
        kind,
        a,
        b,
        b,
        float(rng.uniform(0.04, 0.12)),
        float(rng.uniform(0.2, 0.5)),
        float(rng.uniform(0.04, 0.09)),
        gloss=0.04 if garment.cut == "leggings" else 0.0,
        side_stripe=stripe,
        seed=seed,
    )
