"""Opening a network from a weight file that may be damaged or mean harm: numbers, config, size, tensors.

What a file says is held against what it holds before anything is built: the config's types, and the room that the
network would take beside the tensors that are there.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reidgen.config.base import Config, from_dict, typed
from reidgen.errors import ConfigError, WeightsError, again

AGAIN = "download or write the file again"
REASON = 200  # letters of a list of tensors that do not fit
SPARE = 2**23  # numbers that building may take beside those of the file
LEAST = 2**11  # what a tensor costs at least: a module of its own
VARIANCES = ("running_var", ".var")
Network = TypeVar("Network", bound=torch.nn.Module)


def check_numbers(tensors: dict[str, torch.Tensor], path: Path, *, fix: str = AGAIN) -> None:
    """Raise `WeightsError` unless all numbers are finite in float32, and the variances of normalisations not negative.

    A sum is finite only if all its parts are, and costs no memory; where it is not, each number is looked at.
    """
    broken = [name for name, value in tensors.items() if not _sound(name, value)]
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise WeightsError(
            f"{path} holds weights that are not numbers.", got=f"{broken[0]}{more}", allowed="finite weights", fix=fix
        )


def _sound(name: str, value: torch.Tensor) -> bool:
    if value.is_complex() or (name.endswith(VARIANCES) and bool((value < 0).any())):
        return False
    if not value.is_floating_point():
        return True
    return _finite(value.float())


def check_output(values: torch.Tensor, whose: str) -> None:
    """Raise `WeightsError` unless all that a network gives is finite: huge weights are numbers and pass else."""
    if not _finite(values):
        raise WeightsError(
            f"{whose} gives values that are not numbers.",
            got="not a number, or infinite",
            allowed="finite values, as a network with its weights as they were written gives",
            fix="write or download its weight file again",
        )


def _finite(values: torch.Tensor) -> bool:
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def config_of(kind: type[Config], known: Any, path: Path) -> Config:
    """The config that a file's metadata has.

    Raises:
        WeightsError: It has an unknown field, one of another type, or a value that is not allowed.
    """
    try:
        return from_dict(kind, known)
    except ConfigError as error:
        raise WeightsError(
            f"The config in {path} is not one that this version knows.",
            got=f"{error.parts['what']} {error.parts['got']}",
            allowed=error.allowed,
            fix="a newer reidgen, or the file as it was written",
        ) from error


def field_of(described: dict[str, Any], name: str, hint: Any, path: Path) -> Any:
    """A field of a file's metadata, checked as `typed` does.

    Raises:
        WeightsError: It is not there, or of another type.
    """
    try:
        return typed(hint, described.get(name), name)
    except ConfigError as error:
        what = f"{path} is not described as it should be: {error.parts['what']}"
        raise again(WeightsError, error.parts, what=what, fix=AGAIN) from error


def open_network(build: Callable[[], Network], tensors: dict[str, torch.Tensor], path: Path) -> Network:
    """Build the network that a file's config describes and put the file's tensors into it, all and no others.

    Raises:
        WeightsError: The network would be larger than the file, or a tensor is missing, has another shape, or belongs
            to no parameter.
    """
    try:
        with Room(numbers_of(tensors)):
            network = build()
    except (TooLargeError, ConfigError) as error:
        raise WeightsError(
            f"The config in {path} describes a network that is not in the file.",
            got=str(error),
            allowed="a config that fits the file's tensors",
            fix=AGAIN,
        ) from error
    fill_network(network, tensors, path)
    return network


def fill_network(network: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put a file's tensors into a network, all of them and no others.

    Raises:
        WeightsError: A tensor is missing, has another shape, or belongs to no parameter.
    """
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reasons = "; ".join(textwrap.shorten(line, REASON, placeholder=" ...") for line in str(error).splitlines()[1:3])
        raise WeightsError(
            f"{path} does not fit the network that its own config describes.",
            got=reasons,
            allowed="all tensors of that network and no others",
            fix=AGAIN,
        ) from error


class TooLargeError(Exception):
    """A network that would be larger than the file that it shall be filled from; the text says so."""


class Room(TorchDispatchMode):
    """While it is open, tensors may be made up to a size, and the one that is too much is not.

    Args:
        numbers: How many numbers the file has; `SPARE` more may be made.

    Raises:
        TooLargeError: More would be made.
    """

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self._left, self._numbers = numbers + SPARE, numbers

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what a call of a factory would make, which says its size in numbers and has no tensor to start from."""
        if not any(isinstance(one, torch.Tensor) for one in args):
            self._left -= max(LEAST, _made(args))
            if self._left < 0:
                raise TooLargeError(f"a network of more than the {self._numbers:,} numbers that the file has")
        return func(*args, **(kwargs or {}))


def _made(args: Iterable[Any]) -> int:
    """The size that a factory is asked for: the product of a shape, or the end of a range."""
    sizes = [math.prod(one) for one in args if isinstance(one, (list, tuple)) and all(type(n) is int for n in one)]
    return max([*sizes, *(int(one) for one in args if isinstance(one, (int, float)) and math.isfinite(one))], default=0)


def numbers_of(tensors: Mapping[str, torch.Tensor]) -> int:
    """How many numbers tensors hold; those of a storage that several show are counted once."""
    storages = {value.untyped_storage().data_ptr(): value for value in tensors.values()}
    return sum(value.untyped_storage().nbytes() // value.itemsize for value in storages.values())
