"""Devices, precision and random numbers; the only module that knows Fabric."""

import hashlib
from typing import Literal

import torch
from lightning_fabric import Fabric

from reidgen.config import Device, Precision
from reidgen.errors import ConfigError

_PRECISIONS: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


def setup(device: Device = "auto", precision: Precision = "float32") -> Fabric:
    """The Fabric of one process on one device.

    Raises:
        ConfigError: CUDA was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigError(
            "--device cuda was asked for, but no CUDA device is there.",
            got="cuda",
            allowed="auto, cpu",
            fix="--device cpu",
        )
    torch.backends.cudnn.deterministic = True  # otherwise a resumed run does not repeat the bits of one never stopped
    accelerator = "cuda" if device == "cuda" or (device == "auto" and available) else "cpu"
    return Fabric(accelerator=accelerator, devices=1, precision=_PRECISIONS[precision])


def derive_seed(*parts: int | str) -> int:
    """A seed of 63 bits for anything that has a name: the same parts give the same seed, whatever was drawn before.

    One sampled image, one epoch or one step each have a seed of their own, so that nothing depends on batch size or
    order.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*parts: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator seeded with `derive_seed(*parts)`."""
    return torch.Generator(device).manual_seed(derive_seed(*parts))
