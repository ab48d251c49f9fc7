"""A looping video of walks through the latent space: from person to person, or from a person to its variants."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidgen.config import GenerateConfig, WalkConfig
from reidgen.data.disk.threads import chunks
from reidgen.data.provenance import Style
from reidgen.engine import RunFolder
from reidgen.engine.progress import progress
from reidgen.files import write_bytes, write_chunks
from reidgen.generators import sampling
from reidgen.generators.people.mixing import variant_layers
from reidgen.generators.people.people import plan_crop, styles
from reidgen.generators.pictures.interpolation import closed_path
from reidgen.generators.pictures.mp4 import load_av, movie
from reidgen.generators.pictures.sheets import contact_sheet, enlarge
from reidgen.generators.pictures.webp import animation, check_size, durations, encode_frame
from reidgen.generators.trained import TrainedGenerator

NAME = "walk"


def generate_video(gan: TrainedGenerator, config: WalkConfig | None = None, *, out: Path | str, **options: Any) -> Path:
    """Generate a video, WebP or MP4, of walks through the latent space that end where they began.

    The people are those of `generate_people` with the same seed; each walk keeps the noise of its first one. The same
    call again goes on with the frames that are missing.

    Args:
        gan: A trained generator.
        config: Every knob; None takes the defaults.
        out: The run folder.
        options: Fields of `WalkConfig`, such as show="variants", keyframes=4, psi=0.7, seed=0.

    Returns:
        The path of walk.webp or walk.mp4.

    Raises:
        ConfigError: An option is out of range, `mix` names no layers of this generator or all of them, or the picture
            is too large for WebP, in which the frames are kept.
        MissingExtraError: The format is mp4 and the extra `video` is not installed.
        RunError: The folder belongs to another run.
    """
    config = dataclasses.replace(config or WalkConfig(), **options)
    check_size(_size(gan, config))
    if config.format == "mp4":
        load_av()
    layers = _layers(gan, config)
    inputs = {"generator": gan.hash, "layers": [list(chosen) for chosen in layers], "size": list(gan.size)}
    with RunFolder.begin(out, stage="generate video", config=config, inputs=inputs) as run:
        if not run.done:
            run.finish(_generate(gan.on(config.device), config, layers, run.path))
    return _file(run.path, config)


def _generate(
    gan: TrainedGenerator, config: WalkConfig, layers: Sequence[tuple[int, ...]], folder: Path
) -> dict[str, Any]:
    """Write the frames, then the video of them, and return the run's summary."""
    walk = plan_walk(gan, config, layers)
    count = len(walk.keys) * config.segment_frames
    frames = [folder / "frames" / f"{number:06d}.webp" for number in range(count)]
    file = _file(folder, config)
    if not file.exists():  # it is written whole, after all frames
        _write_missing(gan, walk, config, frames)
        if config.format == "mp4":
            write_bytes(file, movie(frames, fps=config.fps, quality=config.quality))
        else:
            shown_ms = durations(count, fps=config.fps)
            write_chunks(file, animation(frames, shown_ms, size=_size(gan, config)))
    shutil.rmtree(folder / "frames", ignore_errors=True)
    return {
        "frames": count,
        "duration_sec": count / config.fps,
        "generator": gan.hash,
        "generator_training": gan.training,
    }


@dataclasses.dataclass(frozen=True)
class Walk:
    """The ways of all walks of a video.

    Attributes:
        keys: What the walks pass, (K, walks, num_ws, w_dim), or (K, walks, z_dim) with the path "slerp".
        noise: Seed of each walk's noise.
    """

    keys: Tensor
    noise: tuple[int, ...]


def plan_walk(gan: TrainedGenerator, config: WalkConfig, layers: Sequence[tuple[int, ...]]) -> Walk:
    """What each walk passes: people in turn, or the person, a variant, the person again, the next variant."""
    plan = GenerateConfig(weight=config.weight, psi=config.psi, seed=config.seed)
    stations = [
        [plan_crop(gan, plan, layers, person=person, variant=variant) for person, variant in _stations(config, walk)]
        for walk in range(config.rows * config.columns)
    ]
    keys = torch.stack([_keys(gan, operations, config) for operations in stations], dim=1)
    return Walk(keys, tuple(operations[0].noise for operations in stations))


def frame_pixels(gan: TrainedGenerator, walk: Walk, config: WalkConfig, numbers: Sequence[int]) -> np.ndarray:
    """The pictures of the given frames before they are enlarged, uint8 (len(numbers), H, W, 3)."""
    times = [number / config.segment_frames for number in numbers]
    at = closed_path(walk.keys, times, path=config.path).flatten(0, 1)
    if config.path == "slerp":
        w = sampling.map_latents(gan.network, at, psi=config.psi, device=gan.device)
        at = gan.network.spread(w)
    images = gan.synthesize(at, walk.noise * len(numbers)).reshape(len(numbers), len(walk.noise), *gan.size, 3)
    return np.stack([contact_sheet(cells, columns=config.columns) for cells in images])


def _file(folder: Path, config: WalkConfig) -> Path:
    return folder / f"{NAME}.{config.format}"


def _size(gan: TrainedGenerator, config: WalkConfig) -> tuple[int, int]:
    height, width = gan.size
    return config.rows * config.scale * height, config.columns * config.scale * width


def _layers(gan: TrainedGenerator, config: WalkConfig) -> list[tuple[int, ...]]:
    rates = gan.network.layer_rates
    return variant_layers(config.mixes, rates, weight=config.weight) if config.show == "variants" else []


def _stations(config: WalkConfig, walk: int) -> list[tuple[int, int]]:
    """Person and variant of each keyframe of one walk."""
    if config.show == "people":
        first = config.person + walk * config.keyframes
        return [(person, 0) for person in range(first, first + config.keyframes)]
    there_and_back = [(0, variant) for variant in range(1, config.keyframes + 1)]
    return [(config.person + walk, variant) for pair in there_and_back for variant in pair]


def _keys(gan: TrainedGenerator, operations: Sequence[Style], config: WalkConfig) -> Tensor:
    if config.path == "slerp":
        return sampling.latents([operation.w for operation in operations], gan.network.z_dim)
    return styles(gan, operations, psi=config.psi)


def _write_missing(gan: TrainedGenerator, walk: Walk, config: WalkConfig, frames: Sequence[Path]) -> None:
    """Make the frames whose files are not there, as many at once as fill a few passes of the network."""
    missing = [number for number, path in enumerate(frames) if not path.exists()]
    compression = config.compression if config.format == "webp" else "lossless"
    at_once = max(1, 4 * sampling.PASS // len(walk.noise))
    with progress("generate video (frames)", len(frames), start=len(frames) - len(missing)) as bar:
        for numbers in chunks(missing, at_once):
            for number, pixels in zip(numbers, frame_pixels(gan, walk, config, numbers), strict=True):
                picture = enlarge(pixels, config.scale)
                frame = encode_frame(picture, compression=compression, quality=config.quality)
                write_bytes(frames[number], frame)
            bar.advance(len(numbers))
