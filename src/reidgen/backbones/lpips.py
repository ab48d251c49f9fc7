"""LPIPS's weights from files that users can have: heads out of the package lpips, backbones from torchvision's site."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reidgen.backbones.weights import CLASSIFIER, imagenet_file
from reidgen.engine.download import check_digest
from reidgen.engine.foreign import read_foreign
from reidgen.engine.foreign.state_dicts import read_weights
from reidgen.engine.opening import check_numbers
from reidgen.errors import WeightsError, option
from reidgen.files import file_sha256
from reidgen.models.perceptual.lpips import CHANNELS, Lpips, LpipsName

PACKAGE, VERSION = "lpips", "0.1.4"
# Of the files weights/v0.1/*.pth in the package.
HEADS_SHA256 = {
    "alex": "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    "vgg": "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
}
BACKBONES = {"alex": "alexnet", "vgg": "vgg16"}
OTHERWISE = f"{option(perceptual_backbone='resnet50')}, another distance under its own name"


def load_lpips(name: LpipsName, *, weights: str = "imagenet", heads: str = "package") -> tuple[Lpips, str]:
    """LPIPS's network with its weights, all of them, and the SHA-256 of its heads' file.

    Args:
        name: "alex" or "vgg".
        weights: Of AlexNet or VGG16: "imagenet" downloads torchvision's file, a path reads a file with its names.
        heads: "package" takes the file in the package lpips, which is not imported; a path reads such a file.

    Raises:
        WeightsError: A file cannot be had or read, is not the published one, or is of another network.
    """
    network = Lpips(name)
    path = imagenet_file(BACKBONES[name], fix=_other(name)) if weights == "imagenet" else Path(weights)
    _fill(network, read_weights(path)[0], path)
    file = packaged_heads(name) if heads == "package" else Path(heads)
    for parameter, values in zip(network.heads, read_heads(file, name), strict=True):
        parameter.copy_(values)
    return network, file_sha256(file)


def packaged_heads(name: LpipsName) -> Path:
    """The file of heads in the installed package, which is looked for and not imported.

    Raises:
        WeightsError: The package is not there, or its file is not the published one.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise WeightsError(
            f"LPIPS's heads are in the package {PACKAGE}, which is not installed.",
            got="no such package",
            allowed=f"{PACKAGE} {VERSION}, or {option('perceptual_heads')} with its weights/v0.1/{name}.pth",
            fix=f"pip install --no-deps {PACKAGE}=={VERSION}; or {OTHERWISE}",
        )
    file = Path(folders[0]) / "weights" / "v0.1" / f"{name}.pth"
    if not file.is_file():
        raise WeightsError(
            f"There is no {file}.",
            got=f"a package {PACKAGE} without it",
            allowed=f"{PACKAGE} {VERSION}",
            fix=f"pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}",
        )
    check_digest(file, f"sha256:{HEADS_SHA256[name]}")
    return file


def read_heads(file: Path, name: LpipsName) -> list[Tensor]:
    """The weights of channels in a published file, one (C,) a stage; nothing that is in the file is run.

    Raises:
        WeightsError: It is missing, damaged, or not of this network.
    """
    state = read_foreign(file)
    wanted = {f"lin{i}.model.1.weight": (1, channels, 1, 1) for i, channels in enumerate(CHANNELS[name])}
    found = _shapes(state)
    if found != wanted or any(not torch.isfinite(state[key]).all() or (state[key] < 0).any() for key in wanted):
        odd = [f"{key} {found.get(key, 'missing')}" for key in wanted if found.get(key) != wanted[key]]
        raise WeightsError(
            f"{file} does not hold LPIPS's heads for {name}.",
            got="; ".join(odd[:3]) or ", ".join(sorted(found.keys() - wanted.keys())[:3]) or "negative numbers",
            allowed=f"the five tensors of weights/v0.1/{name}.pth, none negative",
            fix=f"{option(perceptual_heads='package')}, after pip install --no-deps {PACKAGE}=={VERSION}",
        )
    return [state[key].flatten().float() for key in wanted]


def _shapes(state: Any) -> dict[str, tuple[int, ...]]:
    items = state.items() if isinstance(state, dict) else ()
    return {str(key): tuple(value.shape) for key, value in items if isinstance(value, Tensor)}


def _fill(network: Lpips, tensors: dict[str, Tensor], path: Path) -> None:
    """Put torchvision's tensors into the features, all of them; its classifier alone is left out."""
    own = network.features.state_dict(prefix="features.")
    given = {key: value for key, value in tensors.items() if not key.startswith(CLASSIFIER)}
    odd = [f"{key} {'missing' if key in own else 'unknown'}" for key in sorted(own.keys() ^ given.keys())]
    odd += [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in given.items()
        if key in own and value.shape != own[key].shape
    ]
    if odd:
        raise WeightsError(
            f"{path} does not fit the network.",
            got="; ".join(odd[:3]),
            allowed=f"the names and shapes of torchvision's {BACKBONES[network.name]}",
            fix=_other(network.name),
        )
    check_numbers(given, path)
    network.load_state_dict({**network.state_dict(), **given})


def _other(name: LpipsName) -> str:
    return f"{option(perceptual_weights='FILE')} with torchvision's {BACKBONES[name]}; or {OTHERWISE}"
