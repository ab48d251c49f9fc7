"""The knobs of drawing from a trained generator: people, videos and grids."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_between, check_counts, require
from reidgen.config.generators.common import SamplingConfig, WrittenCropsConfig
from reidgen.errors import option

LARGEST_SCALE = 32
MOST_FRAMES = 36_000  # 25 minutes at 24 frames a second; a WebP file ends at 4 GiB


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(SamplingConfig, WrittenCropsConfig):
    """How many people are generated and how their variants come about.

    Attributes:
        people: New people; each is one random w.
        variants: Crops a person: the person itself and variants - 1 mixes with other random w.
        cameras: Cameras that the crops are spread over by turns, so that camera rules have something to act on.
    """

    people: int = 280
    variants: int = 51
    cameras: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "people", "variants", "cameras")


@dataclass(frozen=True, kw_only=True)
class PictureConfig(SamplingConfig):
    """People in rows and columns, in a picture or a video.

    Attributes:
        rows: Rows of people, or of walks.
        columns: Columns of them.
        person: Number of the first person, as in generate people with the same seed.
        scale: Pixels of the picture for each pixel of the generator, in height and width.
    """

    rows: int = 2
    columns: int = 4
    person: int = 1
    scale: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "rows", "columns", "person")
        check_between(self, 1, LARGEST_SCALE, "scale")


@dataclass(frozen=True, kw_only=True)
class WalkConfig(PictureConfig):
    """A video of walks through the latent space that end where they began.

    Attributes:
        show: "people" walks from person to person, "variants" from one person to each of its variants and back.
        path: "spline" is a closed cubic spline through the keyframes' w, "lerp" straight lines between them, "slerp"
            arcs between the people's z.
        keyframes: People, or variants, that each walk passes.
        segment_frames: Frames from one keyframe to the next.
        fps: Frames a second.
        format: "webp", animated, which loops; "mp4", H.264, which needs the extra `video`.
        compression: "lossy" with `quality`, or "lossless", about five times larger and WebP only.
        quality: Quality of what is lossy, 0 to 100.
    """

    show: Literal["people", "variants"] = "people"
    path: Literal["spline", "lerp", "slerp"] = "spline"
    keyframes: int = 6
    segment_frames: int = 24
    psi: float = 0.7
    fps: float = 24.0
    scale: int = 2
    format: Literal["webp", "mp4"] = "webp"
    compression: Literal["lossy", "lossless"] = "lossy"
    quality: int = 90

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "keyframes", "segment_frames")
        frames = self.keyframes * self.segment_frames * (2 if self.show == "variants" else 1)  # there and back
        require(
            frames <= MOST_FRAMES,
            "The video would be too long.",
            got=f"{frames:,} frames",
            allowed=f"up to {MOST_FRAMES:,}",
            fix=f"smaller {option('keyframes')} or {option('segment_frames')}",
        )
        require(0 < self.fps <= 1000, f"{option('fps')} is out of range.", got=self.fps, allowed="above 0, up to 1000")
        check_between(self, 0, 100, "quality")
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
class GridConfig(PictureConfig):
    """A labelled picture of what a generator does.

    Attributes:
        show: "variants": a person and its variants in each row; "mixing": for each group of `mix` a table whose rows
            are people and whose columns are the donors of the group's styles; "truncation": a person in each row with
            psi from 0 to `psi`.
        rows: People.
        columns: Variants, donors, or values of psi.
    """

    show: Literal["variants", "mixing", "truncation"] = "variants"
    rows: int = 6
    columns: int = 9
    mix: str | tuple[str, ...] = ("coarse", "middle", "fine")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.show != "truncation" or self.columns >= 2,
            f"{option('columns')} leaves no room for psi from 0 on.",
            got=self.columns,
            allowed=">= 2",
        )
