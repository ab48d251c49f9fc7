"""What a person looks like and wears, drawn from a seed; numbers only, no geometry."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidgen.render.clothes.materials import CLOTH_COLOURS, Material, linear, lower_cloth, pick, unlike, upper_cloth

Array = NDArray[np.floating[Any]]
SLOTS = ("head", "arms", "legs", "hair", "hat", "upper", "inner", "lower", "shoes", "bag", "held")
UPPER_CUTS = ("tshirt", "polo", "longsleeve", "shirt", "hoodie", "jacket", "coat", "tank", "dress")
LOWER_CUTS = ("trousers", "jeans", "wide", "leggings", "shorts", "skirt")
HAIR_CUTS = ("bald", "buzz", "short", "full", "bob", "long", "ponytail", "bun", "afro")
BAGS = ("none", "backpack", "crossbody", "tote", "handbag")
HATS = ("none", "cap", "beanie", "brim", "hood")

# sRGB triples
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
    upper = upper_cloth(rng, outfit.upper.cut)
    lower = lower_cloth(rng, outfit.lower.cut, upper.a)
    if outfit.upper.cut == "dress" and outfit.lower.cut == "none":
        lower = upper
    bag = linear((30, 30, 33)) if rng.random() < 0.45 else unlike(rng, CLOTH_COLOURS, upper.a)
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
        "hat": upper if outfit.hat == "hood" else Material(0, unlike(rng, CLOTH_COLOURS, hair), grain=0.1),
        "upper": upper,
        "lower": lower,
        "inner": upper_cloth(rng, "tshirt"),
        "shoes": Material(
            22, shoe, sole, shoe if rng.random() < 0.7 else linear((230, 230, 228)), size=0.024, duty=0.74, gloss=0.03
        ),
        "bag": Material(23, bag, bag if rng.random() < 0.6 else pick(rng, CLOTH_COLOURS), gloss=0.03, seed=2),
        "held": Material(
            0,
            linear(
                {"phone": (25, 25, 28), "paper": (235, 235, 230), "cup": (225, 220, 210)}.get(outfit.held, (90, 90, 90))
            ),
        ),
    }
