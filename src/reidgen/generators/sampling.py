"""Drawing images from a generator so that the pixels of a seed are the same whatever the batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reidgen.engine.devices.device import generator as random_generator
from reidgen.engine.opening import check_output
from reidgen.models.stylegan.generator import GeneratorNetwork

# Every pass of a network has exactly so many images, the last one filled up: libraries choose other orders of sums for
# other batch sizes, and one bit of the float decides how a pixel is rounded. A power of two, so that the images'
# places in the batch are alike for all kernels; PASS, or less where the maps are large.
PASS = 16
PASS_NUMBERS = 2**26  # in the largest map of a pass; StyleGAN3 takes three to four times its bytes on a CPU, 1 GiB


def pass_size(network: GeneratorNetwork) -> int:
    """How many images the network makes at once; for one network always the same."""
    fitting = max(1, PASS_NUMBERS // network.largest_map)
    return min(PASS, 2 ** (fitting.bit_length() - 1))


def latents(seeds: Sequence[int], z_dim: int) -> Tensor:
    """One z a seed, (N, z_dim) standard normal on the CPU."""
    return torch.stack([torch.randn(z_dim, generator=random_generator("z", seed)) for seed in seeds])


def noise_fields(seeds: Sequence[int], shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """The noise of each layer, (N, H, W) standard normal on the CPU, each image's from its own seed."""
    if not shapes:
        return []
    sizes = [height * width for height, width in shapes]
    flat = torch.stack([torch.randn(sum(sizes), generator=random_generator("noise", seed)) for seed in seeds])
    return [part.view(-1, *shape) for part, shape in zip(flat.split(sizes, dim=1), shapes, strict=True)]


def map_seeds(network: GeneratorNetwork, seeds: Sequence[int], *, psi: float, device: torch.device) -> Tensor:
    """Seeds -> w (N, w_dim) on the CPU, truncated by psi."""
    return map_latents(network, latents(seeds, network.z_dim), psi=psi, device=device)


@torch.inference_mode()
def map_latents(network: GeneratorNetwork, z: Tensor, *, psi: float, device: torch.device) -> Tensor:
    """From z (N, z_dim) to w (N, w_dim) on the CPU, truncated by psi."""
    out = []
    for rows in z.split(PASS):
        filled = torch.cat([rows, rows[-1:].expand(PASS - len(rows), -1)])
        w = network.mapping.truncate(network.mapping(filled.to(device)), psi)
        out.append(w.float().cpu())
    return torch.cat(out)[: len(z)]


@torch.inference_mode()
def synthesize(network: GeneratorNetwork, ws: Tensor, seeds: Sequence[int], *, device: torch.device) -> np.ndarray:
    """Images of ws (N, num_ws, w_dim), the noise from one seed each -> uint8 (N, H, W, 3)."""
    assert len(ws) == len(seeds), "one noise seed an image"
    out, at_once = [], pass_size(network)
    for start in range(0, len(seeds), at_once):
        chunk = list(seeds[start : start + at_once])
        rows = ws[start : start + at_once]
        missing = at_once - len(chunk)
        rows = torch.cat([rows, rows[-1:].expand(missing, -1, -1)])
        noise = noise_fields([*chunk, *[chunk[-1]] * missing], network.synthesis.noise_shapes)
        images = network.synthesis(rows.to(device), [field.to(device) for field in noise])
        out.append(to_pixels(images[: len(chunk)]))
    return np.concatenate(out)


def to_pixels(images: Tensor) -> np.ndarray:
    """Images (N, 3, H, W), -1 to 1 -> uint8 (N, H, W, 3); what lies outside is clipped.

    Raises:
        WeightsError: There are values that are not numbers, which would be black.
    """
    check_output(images, "The generator")
    pixels = images.float().mul(127.5).add(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


def to_tensor(pixels: Tensor) -> Tensor:
    """The way back: uint8 of any shape -> float32, -1 to 1."""
    return pixels.float().div(127.5).sub(1)
