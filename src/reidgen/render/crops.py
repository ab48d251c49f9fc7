"""From what the lens sees to the crop a detector cuts out: the box, the camera's response, and the files."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image

from reidgen.render.cameras import Camera

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Box:
    """A crop's edges on the image plane at distance one (up is positive)."""

    left: float
    right: float
    top: float
    bottom: float


def detector_box(points: Array, aspect: float, looseness: float, rng: np.random.Generator) -> Box:
    """A box around projected points (N, 2) as a person detector would put it.

    Detectors are loose by a few per cent, miss the feet at times, and give boxes of similar aspect whatever the pose.

    Args:
        points: All visible points of the person on the image plane.
        aspect: Width / height of the crop that the box is stretched to.
        looseness: Factor on the jitter.
        rng: Draws the jitter.
    """
    (left, bottom), (right, top) = points.min(0), points.max(0)
    height, middle = float(top - bottom), 0.5 * float(left + right)
    top_gap, bottom_gap = rng.normal(0.025, 0.022 * looseness), rng.normal(0.015, 0.03 * looseness)
    if rng.random() < 0.06:
        bottom_gap -= rng.uniform(0.05, 0.2)
    wanted = height * float(np.clip(rng.normal(0.9 * aspect, 0.045), 0.74 * aspect, 1.15 * aspect))
    width = max(wanted, float(right - left) * (1.03 + abs(rng.normal(0, 0.05 * looseness))))
    shift = rng.normal(0, 0.03 * looseness) * width
    return Box(
        middle - 0.5 * width + shift,
        middle + 0.5 * width + shift,
        float(top) + top_gap * height,
        float(bottom) - bottom_gap * height,
    )


def to_pixels(box: Box, points: Array, size: tuple[int, int]) -> Array:
    """Points (N, 2) on the image plane as (x, y) in pixels of the crop."""
    height, width = size
    x = (points[:, 0] - box.left) / (box.right - box.left) * width
    y = (box.top - points[:, 1]) / (box.top - box.bottom) * height
    return np.stack([x, y], 1).astype(np.float32)


def develop(light: Array, camera: Camera, box: Box, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Linear light (H, W, 3) as the camera's 8-bit crop: exposure, colours, tone curve, blur, sharpening, noise."""
    out = light * np.float32(camera.exposure * np.exp(rng.normal(0, 0.07))) * np.asarray(camera.gains, np.float32)
    grey = out @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    out = np.maximum(grey[..., None] + np.float32(camera.saturation) * (out - grey[..., None]), 0)
    sigma = _blur(camera, box, light.shape[0])
    out = scipy.ndimage.gaussian_filter(out, (sigma, sigma + 0.5 * camera.motion * rng.random(), 0))
    out = tone(out)
    out = out + np.float32(camera.contrast) * (out * out * (3 - 2 * out) - out)
    out = camera.black + (1 - camera.black) * out
    if camera.sharpen > 0:
        out = out + np.float32(camera.sharpen) * (out - scipy.ndimage.gaussian_filter(out, (1.1, 1.1, 0)))
    grain = rng.normal(0, 1, out.shape) * 0.6 + rng.normal(0, 1, (*out.shape[:2], 1))
    grain = scipy.ndimage.gaussian_filter(grain, (0.45, 0.45, 0))
    out = out + camera.noise * grain * (0.6 + 0.8 * (1 - out))
    return np.clip(out * 255 + 0.5, 0, 255).astype(np.uint8)


def tone(light: Array) -> Array:
    """Linear light to display values in [0, 1]: the sRGB exponent with a soft shoulder above middle grey."""
    shoulder = np.where(light < 0.6, light, 0.6 + 0.4 * (1 - np.exp(-(light - 0.6) / 0.4)))
    return np.clip(shoulder, 0, 1) ** np.float32(1 / 2.2)


def _blur(camera: Camera, box: Box, rows: int) -> float:
    """Standard deviation in crop pixels: lens, and the sensor's pixels where they are larger than the crop's."""
    sensor = camera.focal * (box.top - box.bottom)
    return float(np.hypot(camera.blur * rows / 128, 0.42 * rows / sensor))


def jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def part_map(parts: NDArray[np.uint8], slots: int) -> NDArray[np.uint8]:
    """The commonest part of the samples of each pixel, (H, W): 0 is background, part i is i + 1."""
    labels = np.where(parts == 255, 0, parts + 1)
    counts = np.stack([(labels == i).sum(-1) for i in range(slots + 1)], -1)
    return counts.argmax(-1).astype(np.uint8)


def normal_map(normals: Array, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Summed camera-space normals (H, W, 3) as 8-bit RGB: right, up, towards the viewer; 0 is background."""
    unit = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    return np.where(mask[..., None], np.round(127.5 + 127.5 * unit), 0).astype(np.uint8)
