"""Ways between latent vectors: straight lines, arcs, and closed curves through several of them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

Curve = Literal["spline", "lerp", "slerp"]
TINY = 1e-300
PARALLEL = 1e-12  # below it the direction of one unit vector across the other is all rounding


def lerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """The straight line from a (t = 0) to b (t = 1), exact at both ends; all of shapes that broadcast.

    Right for w, in which distances are meant to be straight (Karras et al. 2019, section 4.1).
    """
    t = torch.as_tensor(t, dtype=a.dtype)
    return torch.where(t < 0.5, a + t * (b - a), b - (1 - t) * (b - a))


def slerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """The arc from a (t = 0) to b (t = 1) around the origin (Shoemake 1985, section 3.3).

    Right for z: a normal vector of many dimensions lies near a sphere, and a straight line would leave it. The
    direction turns evenly in the plane of a and b and the length changes evenly. Where both have one direction only
    the length changes; where they are opposite, any half circle is as short as any other, and the one over the axis
    along which a is least extended is taken.

    Args:
        a: (..., D), D at least 2.
        b: (..., D).
        t: (..., 1), or one number.

    Returns:
        (..., D), in a's dtype; computed in float64.
    """
    t = torch.as_tensor(t, dtype=torch.float64)
    start, end = a.double(), b.double()
    start_length, end_length = (x.norm(dim=-1, keepdim=True) for x in (start, end))
    u, v = start / start_length.clamp_min(TINY), end / end_length.clamp_min(TINY)
    # the arc cosine of u.v would be lost to rounding near 0 and pi
    angle = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    direction = (t * angle).cos() * u + (t * angle).sin() * _across(u, v)
    return (direction * ((1 - t) * start_length + t * end_length)).to(a.dtype)


def closed_path(points: Tensor, times: Sequence[float], *, path: Curve) -> Tensor:
    """Where a closed walk through points is at the given times.

    Args:
        points: (K, ...), K at least 1; the walk is at points[k] at time k and back at points[0] at time K.
        times: From 0 to K.
        path: "spline" is the cubic spline with continuous first and second derivative, also where it closes; "lerp"
            goes straight from point to point; "slerp" along arcs over the last dimension.

    Returns:
        (len(times), ...), in the points' dtype.
    """
    count = len(points)
    ring = torch.cat([points, points[:1]])
    if path == "spline":
        if count == 1:
            return points.expand(len(times), *points.shape[1:])
        curve = CubicSpline(np.arange(count + 1), ring.double().numpy(), bc_type="periodic")
        return torch.from_numpy(curve(np.asarray(times))).to(points.dtype)
    whole = [min(int(time), count - 1) for time in times]
    share = torch.tensor([time - k for time, k in zip(times, whole, strict=True)], dtype=torch.float64)
    share = share.view(-1, *[1] * (points.ndim - 1))
    between = {"lerp": lerp, "slerp": slerp}[path]
    return between(ring[whole], ring[[k + 1 for k in whole]], share)


def _across(u: Tensor, v: Tensor) -> Tensor:
    """The unit vector perpendicular to u (..., D), in the plane of u and v or, where there is no such plane, any."""
    rest = v - (u * v).sum(dim=-1, keepdim=True) * u
    axis = torch.zeros_like(u).scatter(-1, u.abs().argmin(dim=-1, keepdim=True), 1.0)
    other = axis - (u * axis).sum(dim=-1, keepdim=True) * u
    chosen = torch.where(rest.norm(dim=-1, keepdim=True) > PARALLEL, rest, other)
    chosen = chosen - (u * chosen).sum(dim=-1, keepdim=True) * u  # once more, for what rounding left
    return chosen / chosen.norm(dim=-1, keepdim=True)
