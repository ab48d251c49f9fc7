"""Feature networks: the Inception of the FID, and a re-ID network of one's own, whose distance has another name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reidgen.backbones.reid_model import load_reid
from reidgen.config.fidelity import INCEPTION, REID, FidelityConfig
from reidgen.data.augment import normalise
from reidgen.engine.devices.device import chosen
from reidgen.fidelity.inception_weights import load_inception
from reidgen.fidelity.resizing import WORDS, to_inception
from reidgen.models.perceptual.inception import SIZE, WIDTH


@dataclass(frozen=True, eq=False)
class Extractor:
    """Something that turns crops into features.

    Attributes:
        compute: Crops uint8 (B, H, W, 3) -> features float32 (B, D); a crop's features must not depend on the others of
            its batch beyond float rounding.
        width: D.
        hash: Of its weights, for the protocol and the cache.
        words: What it is and how crops get into it, for the protocol.
        prefix: What stands before FID and KID: nothing for the Inception network alone, "Re-ID-" for a re-ID network.
    """

    compute: Callable[[np.ndarray], np.ndarray]
    width: int
    hash: str
    words: str
    prefix: str

    @property
    def measure(self) -> str:
        """The name of the Fréchet distance of its features."""
        return f"{self.prefix}FID"


def load_extractor(config: FidelityConfig) -> Extractor:
    """The feature network that a config names.

    Raises:
        MissingExtraError: The packaged Inception is asked for and the extra `fid` is not installed.
        WeightsError: A weight file is missing, damaged or of another network.
    """
    kind, _, where = config.features.partition(":")
    if kind == INCEPTION:
        return inception(Path(where) if where else None, config)
    return reid(Path(config.features.removeprefix(REID)), config)


def inception(path: Path | None, config: FidelityConfig) -> Extractor:
    """Inception-v3 of 2015-12-05; see `load_inception` for the path."""
    network, found, source = load_inception(path)
    device = chosen(config.device)
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def compute(crops: np.ndarray) -> np.ndarray:
        images = to_inception(crops, config.resize, size=SIZE).contiguous(memory_format=torch.channels_last)
        with torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):  # float32 as the protocol says
            return network(images.to(device)).float().cpu().numpy()

    words = (
        f"Inception-v3 of 2015-12-05, last pool, {WIDTH} numbers, float32; {source}, SHA-256 {found}; "
        f"crops to {SIZE}x{SIZE} {WORDS[config.resize]}"
    )
    return Extractor(compute, WIDTH, found, words, "")


def reid(path: Path, config: FidelityConfig) -> Extractor:
    """A network that `train_reid` has written: embedding of the crop, without its mirror image."""
    model = load_reid(path, device=config.device)
    height, width = model.config.size

    @torch.inference_mode()
    def compute(crops: np.ndarray) -> np.ndarray:
        fitting = np.stack([_resized(crop, (height, width)) for crop in crops])
        images = torch.from_numpy(fitting).permute(0, 3, 1, 2).to(model.device)
        return model.network(normalise(images)).embedding.float().cpu().numpy()

    words = (
        f"re-ID network {model.config.backbone} trained on {model.facts['people']:,} people, embedding, float32; "
        f"SHA-256 {model.hash}; crops to {height}x{width} bicubic, antialiased"
    )
    probe = compute(np.zeros((1, height, width, 3), np.uint8))
    return Extractor(compute, probe.shape[1], model.hash, words, "Re-ID-")


def _resized(crop: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if crop.shape[:2] == size:
        return crop
    return np.asarray(Image.fromarray(crop).resize((size[1], size[0]), Image.Resampling.BICUBIC))
