"""The knobs of drawing from a trained generator: people, videos and grids."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from reidgen.config.base import Device, check_counts, check_seed, require
from reidgen.errors import option

LARGEST_SCALE = 32
MOST_FRAMES = 36_000  # 25 minutes at 24 frames a second; a WebP file ends at 4 GiB


class Mixing:
    """What has a field `mix`: one group of layers, or several."""

    mix: str | tuple[str, ...]

    @property
    def mixes(self) -> tuple[str, ...]:
        """`mix` as the groups that are used by turns."""
        return (self.mix,) if isinstance(self.mix, str) else tuple(self.mix)


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(Mixing):
    """How many people are generated and how their variants come about.

    Attributes:
        people: New people; each is one random w.
        variants: Crops a person: the person itself and variants - 1 mixes with other random w.
        mix: Layers whose styles come from the donor: coarse, middle, fine, all, the sources' groups sources-coarse,
            sources-medium and sources-fine, layer indices such as 3,4,5 or 3-5, and unions of them, coarse+fine.
            Several of these are used by turns, the first for the first variant.
        weight: How far the layers of `mix` go towards the donor: 1 takes its styles, less interpolates in w.
        psi: Truncation of the person's and the donor's w towards the mean; 1 is none.
        batch: Images computed at once; does not change the pixels.
        quality: JPEG quality of the files.
        cameras: Cameras that the crops are spread over by turns, so that camera rules have something to act on.
        device: "auto" computes where the generator was loaded.
    """

    people: int = 280
    variants: int = 51
    mix: str | tuple[str, ...] = "middle"
    weight: float = 1.0
    psi: float = 1.0
    batch: int = 64
    quality: int = 95
    cameras: int = 6
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "people", "variants", "cameras", "batch")
        check_sampling(self)
        require(
            1 <= self.quality <= 100,
            f"{option('quality')} must be a JPEG quality.",
            got=self.quality,
            allowed="1 to 100",
        )


@dataclass(frozen=True, kw_only=True)
class WalkConfig(Mixing):
    """A video of walks through the latent space that end where they began.

    Attributes:
        show: "people" walks from person to person, "variants" from one person to each of its variants and back.
        path: "spline" is a closed cubic spline through the keyframes' w, "lerp" straight lines between them, "slerp"
            arcs between the people's z.
        rows: Rows of walks in the picture.
        columns: Columns of walks in the picture.
        keyframes: People, or variants, that each walk passes.
        segment_frames: Frames from one keyframe to the next.
        person: Number of the first person, as in generate people with the same seed.
        mix: Layers of the variants, as in generate people.
        weight: How far the variants' layers go towards the donor.
        psi: Truncation of w towards the mean; 1 is none.
        fps: Frames a second.
        scale: Pixels of the video for each pixel of the generator, in height and width.
        format: "webp", animated, which loops; "mp4", H.264, which needs the extra `video`.
        compression: "lossy" with `quality`, or "lossless", about five times larger and WebP only.
        quality: Quality of what is lossy, 0 to 100.
        device: "auto" computes where the generator was loaded.
    """

    show: Literal["people", "variants"] = "people"
    path: Literal["spline", "lerp", "slerp"] = "spline"
    rows: int = 2
    columns: int = 4
    keyframes: int = 6
    segment_frames: int = 24
    person: int = 1
    mix: str | tuple[str, ...] = "middle"
    weight: float = 1.0
    psi: float = 0.7
    fps: float = 24.0
    scale: int = 2
    format: Literal["webp", "mp4"] = "webp"
    compression: Literal["lossy", "lossless"] = "lossy"
    quality: int = 90
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "rows", "columns", "keyframes", "segment_frames", "person")
        check_sampling(self)
        frames = self.keyframes * self.segment_frames * (2 if self.show == "variants" else 1)  # there and back
        require(
            frames <= MOST_FRAMES,
            "The video would be too long.",
            got=f"{frames:,} frames",
            allowed=f"up to {MOST_FRAMES:,}",
            fix=f"smaller {option('keyframes')} or {option('segment_frames')}",
        )
        require(0 < self.fps <= 1000, f"{option('fps')} is out of range.", got=self.fps, allowed="above 0, up to 1000")
        require(0 <= self.quality <= 100, f"{option('quality')} is out of range.", got=self.quality, allowed="0 to 100")
        require(
            self.format == "webp" or self.compression == "lossy",
            f"{option(format='mp4')} is lossy: few players show other H.264.",
            got=option(compression="lossless"),
            allowed=option(compression="lossy"),
            fix=f"{option(format='webp')}, or a higher {option('quality')}",
        )
        require(
            self.path != "slerp" or self.show == "people",
            f"{option(path='slerp')} goes through z, where variants have no place.",
            got=option(show=self.show),
            allowed=option(show="people"),
            fix=option(path="spline"),
        )


@dataclass(frozen=True, kw_only=True)
class GridConfig(Mixing):
    """A labelled picture of what a generator does.

    Attributes:
        show: "variants": a person and its variants in each row; "mixing": for each group of `mix` a table whose rows
            are people and whose columns are the donors of the group's styles; "truncation": a person in each row with
            psi from 0 to `psi`.
        rows: People.
        columns: Variants, donors, or values of psi.
        person: Number of the first person, as in generate people with the same seed.
        mix: Layers whose styles come from the donor, as in generate people; with "variants" by turns.
        weight: How far these layers go towards the donor.
        psi: Truncation of w towards the mean; 1 is none.
        scale: Pixels of the picture for each pixel of the generator, in height and width.
        device: "auto" computes where the generator was loaded.
    """

    show: Literal["variants", "mixing", "truncation"] = "variants"
    rows: int = 6
    columns: int = 9
    person: int = 1
    mix: str | tuple[str, ...] = ("coarse", "middle", "fine")
    weight: float = 1.0
    psi: float = 1.0
    scale: int = 1
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "rows", "columns", "person")
        check_sampling(self)
        require(
            self.show != "truncation" or self.columns >= 2,
            f"{option('columns')} leaves no room for psi from 0 on.",
            got=self.columns,
            allowed=">= 2",
        )


def check_sampling(config: Any) -> None:
    """Raise `ConfigError` for what people, videos and grids cannot use alike."""
    require(
        math.isfinite(config.psi),
        f"{option('psi')} must be a number.",
        got=config.psi,
        allowed="0 to 1, or a little above",
    )
    require(len(config.mixes) > 0, f"{option('mix')} names no layers.", got="nothing", allowed="one group or more")
    require(
        0 < config.weight <= 1, f"{option('weight')} is out of range.", got=config.weight, allowed="above 0, up to 1"
    )
    scale = getattr(config, "scale", 1)
    require(
        1 <= scale <= LARGEST_SCALE, f"{option('scale')} is out of range.", got=scale, allowed=f"1 to {LARGEST_SCALE}"
    )
    check_seed(config.seed)
