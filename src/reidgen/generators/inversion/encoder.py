"""A trained encoder as a thing to use: from crops of real people to w+ of its generator."""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from reidgen.backbones.opening import open_resnet
from reidgen.config import BackboneConfig, Device, EncoderConfig, as_dict
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine.checkpoint import load_weights, save_weights
from reidgen.engine.devices.device import derive_seed
from reidgen.engine.foreign.pickle_machine import shown
from reidgen.engine.opening import check_output, config_of, field_of, open_network
from reidgen.engine.progress import progress
from reidgen.engine.runs.run import read_run
from reidgen.errors import WeightsError, option
from reidgen.files import file_sha256
from reidgen.generators import sampling
from reidgen.generators.inversion.likeness import as_images
from reidgen.generators.trained import TrainedGenerator, load_generator
from reidgen.generators.weights import FILE
from reidgen.models.resnet import ResNet
from reidgen.models.stylegan.encoder import Encoder
from reidgen.models.stylegan.generator import GeneratorNetwork

ENCODER = "encoder.safetensors"
# Reconstructions all have the same noise: what it changes is nothing that a w+ could answer for.
NOISE_SEED = derive_seed("noise of reconstructions")
Flip = Literal["sum", "none"]


@dataclass(frozen=True, eq=False)
class TrainedEncoder:
    """A trained encoder with its generator.

    Attributes:
        network: In evaluation mode, without gradients.
        generator: The generator whose w+ it finds.
        config: Of its training.
        facts: Of its training: steps, epochs, images, people, generated share, crops' hash, split, who was held out,
            and which feature `embed` gives.
        hash: SHA-256 of the weight file.
        path: The weight file.
    """

    network: Encoder
    generator: TrainedGenerator
    config: EncoderConfig
    facts: dict[str, Any]
    hash: str
    path: Path

    def on(self, device: Device) -> "TrainedEncoder":
        """The same on another device; "auto" leaves it where it is."""
        if device == "auto":
            return self
        generator = self.generator.on(device)
        network = copy.deepcopy(self.network).to(generator.device)
        return dataclasses.replace(self, network=network, generator=generator)

    def invert(self, pixels: np.ndarray, *, passes: int | None = None) -> Tensor:
        """The w+ of crops, (N, num_ws, w_dim) on the CPU; a crop's do not depend on the other crops.

        Args:
            pixels: uint8 (N, H, W, 3) of the generator's size.
            passes: Refinements; None takes as many as the training had.

        Raises:
            WeightsError: The networks give values that are not numbers.
        """
        gan = self.generator
        passes = self.config.passes if passes is None else passes
        at_once, found = sampling.pass_size(gan.network), []
        noise = fixed_noise(gan.network, at_once, gan.device)
        with torch.inference_mode():
            for first in range(0, len(pixels), at_once):
                crops = pixels[first : first + at_once]
                filled = np.concatenate([crops, np.repeat(crops[-1:], at_once - len(crops), axis=0)])
                target = as_images(filled, gan.device)
                *_, (ws, _) = refine(self.network, gan.network, target, noise, passes=passes)
                found.append(ws[: len(crops)].float().cpu())
        ws = torch.cat(found)
        check_output(ws, "The encoder")
        return ws

    def embed(self, crops: ReidTable | CropStore, *, flip: Flip = "sum", batch: int = 64) -> Tensor:
        """The w+ of each crop less the mean of w, as a re-ID embedding: (N, num_ws * w_dim).

        The mean is the same for all people, so a cosine around the origin would be all about it.

        Args:
            crops: A table, which is decoded at the generator's size, or its decoded crops.
            flip: "sum" adds the w+ of the mirrored crop.
            batch: Crops between two moves of the progress bar; the network's own batches have one size.

        Raises:
            DataError: The table is empty, or a crop cannot be decoded.
        """
        store = crops if isinstance(crops, CropStore) else CropStore.open(crops, size=self.generator.size)
        mean, found = self.generator.network.mapping.w_avg.float().cpu(), []
        with progress("encode", len(store)) as bar:
            for first in range(0, len(store), batch):
                pixels = store.images[first : first + batch]
                offsets = self.invert(pixels) - mean
                if flip == "sum":
                    offsets = offsets + self.invert(pixels[:, :, ::-1]) - mean
                found.append(offsets.flatten(1))
                bar.advance(len(pixels))
        return torch.cat(found)


def refine(
    network: Callable[[Tensor, Tensor], Tensor],
    gan: GeneratorNetwork,
    target: Tensor,
    noise: list[Tensor],
    *,
    passes: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The w+ and the image of each pass: w_{t+1} = w_t + E(x, G(w_t)), w_0 the mean of w.

    Alaluf et al. 2021 (ReStyle), section 3.2. Between two passes both are cut off from their gradients, so the loss of
    one pass is to be backpropagated before the next is asked for.

    Args:
        network: The encoder: from crops and images, both (N, 3, H, W), to steps in w+.
        gan: The generator, frozen.
        target: The crops, (N, 3, H, W), -1 to 1.
        noise: The generator's, one (N, H, W) a layer.
        passes: How many.
    """
    count = len(target)
    ws = gan.spread(gan.mapping.w_avg[None].expand(count, -1))
    with torch.no_grad():
        image = gan.synthesis(ws, noise)
    for _ in range(passes):
        ws = ws.detach() + network(target, image.detach())
        image = gan.synthesis(ws, noise)
        yield ws, image


def fixed_noise(gan: GeneratorNetwork, count: int, device: torch.device) -> list[Tensor]:
    """The noise of reconstructions, one (count, H, W) a layer, the same for each image."""
    fields = sampling.noise_fields([NOISE_SEED], gan.synthesis.noise_shapes)
    return [field.to(device).expand(count, -1, -1) for field in fields]


def build_encoder(config: EncoderConfig, gan: GeneratorNetwork) -> Encoder:
    """The encoder of a config for a generator."""
    return Encoder(
        config.backbone,
        size=gan.size,
        num_ws=gan.num_ws,
        w_dim=gan.w_dim,
        width=config.width,
        stride_in=config.stride_in,
    )


def write_encoder(path: Path, network: Encoder, *, config: EncoderConfig, gan_hash: str, facts: dict[str, Any]) -> None:
    """Write an encoder, with its config, its generator's hash and the facts of its training as metadata."""
    described = {"kind": "encoder", "encoder": as_dict(config), "generator": gan_hash, "facts": facts}
    save_weights(path, network.state_dict(), config=described)


def load_encoder(
    path: Path | str, *, generator: TrainedGenerator | None = None, device: Device = "auto"
) -> TrainedEncoder:
    """Open a trained encoder.

    Args:
        path: Run folder of train-encoder, or one of its .safetensors files.
        generator: Its generator; None takes the one that is kept in its run folder.
        device: Where it shall run; with a generator given, there.

    Raises:
        WeightsError: The file is missing, damaged, no encoder, or an encoder for another generator.
        RunError: The folder's training is not finished.
    """
    file = find_encoder(path)
    tensors, described = load_weights(file)
    if described.get("kind") != "encoder":
        raise WeightsError(
            f"{file} holds no encoder.",
            got=f"kind {shown(str(described.get('kind', 'not given')))}",
            allowed="a file that reidgen train-encoder wrote",
            fix="reidgen train-encoder --generator DIR --data DIR --out DIR",
        )
    gan = load_generator(file.parent / FILE, device=device) if generator is None else generator
    made_for = shown(field_of(described, "generator", str, file))
    if gan.hash != made_for:
        raise WeightsError(
            f"{file} is an encoder for another generator.",
            got=f"generator {gan.hash} ({gan.path})",
            allowed=f"generator {made_for}, which it was trained with",
            fix=f"{option(generator=file.parent / FILE)}, or train-encoder with this generator",
        )
    config = config_of(EncoderConfig, described.get("encoder"), file)
    facts = field_of(described, "facts", dict, file)
    field_of(facts, "held_out_people", list[int], file)
    network = open_network(lambda: build_encoder(config, gan.network), tensors, file)
    network = network.to(gan.device).eval().requires_grad_(False)
    return TrainedEncoder(network, gan, config, facts, file_sha256(file), file)


def find_encoder(path: Path | str) -> Path:
    """The weight file that a path means.

    Raises:
        WeightsError: There is none.
        RunError: The folder's training is not finished.
    """
    path = Path(path)
    file = path / ENCODER if path.is_dir() else path
    if not file.is_file():
        of_another = path.is_dir() and (path / "run.json").is_file()
        raise WeightsError(
            f"There is no {file}.",
            got=f"a run of {read_run(path)['stage']}" if of_another else "nothing there",
            allowed="the folder of a finished train-encoder, or one of its .safetensors files",
            fix="reidgen train-encoder --generator DIR --data DIR --out DIR",
        )
    return file


def is_encoder(path: Path | str) -> bool:
    """Whether a path is meant as an encoder: its file, or the folder of its training, finished or not."""
    path = Path(path)
    if path.is_dir():
        return (path / ENCODER).is_file()
    return path.is_file() and path.suffix == ".safetensors" and load_weights(path)[1].get("kind") == "encoder"


def load_start(config: EncoderConfig) -> ResNet | None:
    """The network that an encoder's backbone starts from; None where that is chance.

    Raises:
        WeightsError: Its file cannot be had or read, is of another network, or of the other stride layout.
    """
    if config.weights == "random":
        return None
    return open_resnet(BackboneConfig(backbone=config.backbone, weights=config.weights, stride_in=config.stride_in))
