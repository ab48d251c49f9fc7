"""The random input of a training step's fakes: z, style mixing, noise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from reidgen.models.stylegan.generator import GeneratorNetwork


@dataclass(frozen=True)
class Latents:
    """What N fakes are made from.

    Attributes:
        z: (2, N, z_dim), the first and the second person of a mix.
        second: bool (N, num_ws), the layers that take their style from the second.
        noise: One (N, H, W) a layer that has noise.
    """

    z: Tensor
    second: Tensor
    noise: list[Tensor]

    def rows(self, rows: slice) -> "Latents":
        """A part of the batch."""
        return Latents(self.z[:, rows], self.second[rows], [field[rows] for field in self.noise])


def draw_latents(
    network: GeneratorNetwork,
    count: int,
    generator: torch.Generator,
    *,
    mixing: float,
    device: torch.device,
) -> Latents:
    """Draw the input of `count` fakes, on the CPU, then moved to the device.

    Args:
        network: Whose input it is.
        count: N.
        generator: CPU generator, the only source of randomness.
        mixing: Probability that layers from a random one on take another person's style (Karras et al. 2019, 3.1).
        device: Where the tensors go.
    """
    z = torch.randn(2, count, network.z_dim, generator=generator)
    mixed = torch.rand(count, generator=generator) < mixing
    first = torch.randint(1, network.num_ws, (count,), generator=generator)
    second = mixed[:, None] & (torch.arange(network.num_ws) >= first[:, None])
    noise = [torch.randn(count, *shape, generator=generator) for shape in network.synthesis.noise_shapes]
    return Latents(z.to(device), second.to(device), [field.to(device) for field in noise])


def mixed_styles(network: GeneratorNetwork, latents: Latents) -> tuple[Tensor, Tensor]:
    """One w a layer, (N, num_ws, w_dim), and both persons' w, (2N, w_dim)."""
    w = network.mapping(latents.z.flatten(0, 1))
    one, other = w.chunk(2)
    return torch.where(latents.second[:, :, None], other[:, None], one[:, None]), w
