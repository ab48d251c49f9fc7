"""Convolutions in bfloat16 on a CPU: each kind is tested before it is trusted, and left in float32 where it is wrong.

Some kernels of oneDNN read memory that nobody has written: with torch 2.13 on processors with AMX those of strided
convolutions on maps a few pixels wide, forward or in a gradient. What comes out is then now and then no number.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from reidgen.config import Precision

KINDS = frozenset(getattr(torch, name) for name in ("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"))
HALF = torch.bfloat16
REPEATS = 3  # memory that is read by mistake does not hold the poison each time
SMALL = {round(2 ** (halves / 2)) for halves in range(10, 36)}  # of bfloat16, up to 0.4 MB: scratch of any size
POISON_BYTES = 2**25  # larger memory is fresh from the system, whose pages are zeros
ROUNDING = 2.0**-6  # four steps of bfloat16, of a number and of the largest one: what sums of rounded ones may be off

Key = tuple[Any, ...]
_sound: dict[Key, bool] = {}  # of this process: what was tested once is known


@contextmanager
def sound_bfloat16(device: torch.device, precision: Precision, *, tell: bool = True) -> Iterator[list[str]]:
    """Within it, convolutions that this processor computes wrongly in bfloat16 compute in float32.

    Each kind, of one shape and one layout in memory, is tested when it first comes up: forward and both gradients in
    bfloat16, several times, in memory that is full of NaN, beside float32. The verdict is the kind's: it depends on
    no weights and no crops, so that a run taken up again computes as before.

    Args:
        device: Where the networks are; on a GPU nothing is tested.
        precision: Of the run; only "bf16" is tested.
        tell: Whether the first one found is told.

    Yields:
        The kinds kept in float32, in words; more come as they are met.
    """
    if device.type != "cpu" or precision != "bf16":
        yield []
        return
    with _Guard(tell) as guard:
        yield guard.kept


class _Guard(TorchFunctionMode):
    """Looks at each convolution, and lets the wrong ones leave bfloat16."""

    def __init__(self, tell: bool) -> None:
        super().__init__()
        self.tell = tell
        self.kept: list[str] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in KINDS or not _is_half(args, kwargs):
            return func(*args, **kwargs)
        key = (func, torch.get_num_threads(), *map(_kind, args), *((name, _kind(x)) for name, x in kwargs.items()))
        if key not in _sound:
            _sound[key] = _agrees(func, args, kwargs)
        if _sound[key]:
            return func(*args, **kwargs)
        self._keep(func, args, kwargs)
        with torch.autocast("cpu", enabled=False):
            wide = _each(args, kwargs, lambda x: x.float())
            return func(*wide[0], **wide[1]).to(HALF)

    def _keep(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        image, weight = [tuple(x.shape) for x in _tensors(args, kwargs)][:2]
        words = f"{func.__name__} of {image} by {weight}"
        if self.tell and not self.kept:
            sys.stderr.write(
                f"bf16: this processor computes some convolutions wrongly, as {words}; they are kept in float32\n"
            )
        if words not in self.kept:
            self.kept.append(words)


def _is_half(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    image = next(_tensors(args, kwargs))
    autocast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == HALF
    return image.device.type == "cpu" and (image.dtype == HALF or (autocast and image.dtype == torch.float32))


def _tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    return (x for x in (*args, *kwargs.values()) if isinstance(x, Tensor))


def _kind(value: Any) -> Any:
    """What of an argument decides which kernel runs: no number of a tensor."""
    if isinstance(value, Tensor):
        return (tuple(value.shape), value.stride())
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _each(
    args: tuple[Any, ...], kwargs: dict[str, Any], change: Callable[[Tensor], Tensor]
) -> tuple[list[Any], dict[str, Any]]:
    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, Tensor) else value

    return [changed(x) for x in args], {name: changed(x) for name, x in kwargs.items()}


@torch.inference_mode(False)
@torch.enable_grad()
def _agrees(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a convolution of this kind is right in bfloat16 whatever lies in memory, and so are its gradients."""
    draws = torch.Generator().manual_seed(0)

    def drawn(like: Tensor) -> Tensor:
        return torch.empty_like(like, dtype=HALF).copy_(torch.randn(like.shape, generator=draws))

    given = _each(args, kwargs, drawn)
    with torch.autocast("cpu", enabled=False):
        slope = drawn(func(*given[0], **given[1]))
        wanted = _computed(func, given, slope, torch.float32)
        return all(
            _near(found, right)
            for _ in range(REPEATS)
            for found, right in zip(_computed(func, given, slope, HALF), wanted, strict=True)
        )


def _computed(
    func: Callable[..., Any], given: tuple[list[Any], dict[str, Any]], slope: Tensor, dtype: torch.dtype
) -> list[Tensor]:
    """The output, and the gradients of all tensors for a given one of the output."""
    args, kwargs = _each(tuple(given[0]), given[1], lambda x: x.to(dtype, copy=True).requires_grad_())
    inputs = list(_tensors(tuple(args), kwargs))
    if dtype == HALF:
        _poison(*inputs, slope)
    out = func(*args, **kwargs)
    if dtype == HALF:
        _poison(*inputs, slope)
    return [out.detach(), *torch.autograd.grad(out, inputs, slope.to(dtype))]


def _poison(*like: Tensor) -> None:
    """Leave NaN in the memory that comes next: for tensors of such sizes in either precision, and for what is small."""
    sizes = {width * x.numel() for x in like for width in (1, 2) if 2 * width * x.numel() <= POISON_BYTES}
    filled = [torch.full((size,), float("nan"), dtype=HALF) for size in sorted(sizes | SMALL) for _ in range(4)]
    del filled


def _near(found: Tensor, right: Tensor) -> bool:
    return torch.allclose(found.float(), right, rtol=ROUNDING, atol=ROUNDING * float(right.abs().max()))
