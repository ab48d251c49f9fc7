# mypy: ignore-errors
# ruff: noqa: UP018
# warp compiles these functions from their source: they are Python in form only, and their types are warp's
"""Where a ray meets the things of a place: boxes, poles, bushes and railings."""

import warp as wp

from reidgen.render.kernels.surfaces import vec3  # which keeps warp quiet, so first


@wp.func
def turn(p: vec3, cosine: float, sine: float) -> vec3:
    """Rotate about z."""
    return vec3(p[0] * cosine - p[1] * sine, p[0] * sine + p[1] * cosine, p[2])


@wp.func
def hit_box(o: vec3, d: vec3, half: vec3) -> wp.vec4f:
    """Normal and distance of the first hit of an axis-aligned box about the origin; distance -1 if missed."""
    eps = float(1.0e-9)
    inv = vec3(1.0 / (d[0] + eps), 1.0 / (d[1] + eps), 1.0 / (d[2] + eps))
    a = wp.cw_mul(-half - o, inv)
    b = wp.cw_mul(half - o, inv)
    near = wp.min(a, b)
    far = wp.max(a, b)
    t0 = wp.max(near[0], wp.max(near[1], near[2]))
    t1 = wp.min(far[0], wp.min(far[1], far[2]))
    if t0 > t1 or t0 < 1.0e-3:
        return wp.vec4f(0.0, 0.0, 0.0, -1.0)
    if t0 == near[0]:
        return wp.vec4f(-wp.sign(d[0]), 0.0, 0.0, t0)
    if t0 == near[1]:
        return wp.vec4f(0.0, -wp.sign(d[1]), 0.0, t0)
    return wp.vec4f(0.0, 0.0, -wp.sign(d[2]), t0)


@wp.func
def hit_cylinder(o: vec3, d: vec3, half: vec3) -> wp.vec4f:
    """As `hit_box` for an upright cylinder of radius half[0] and height 2 half[2], without its caps."""
    a = d[0] * d[0] + d[1] * d[1]
    b = o[0] * d[0] + o[1] * d[1]
    c = o[0] * o[0] + o[1] * o[1] - half[0] * half[0]
    disc = b * b - a * c
    if disc < 0.0 or a < 1.0e-9:
        return wp.vec4f(0.0, 0.0, 0.0, -1.0)
    t = (-b - wp.sqrt(disc)) / a
    p = o + t * d
    if t < 1.0e-3 or wp.abs(p[2]) > half[2]:
        return wp.vec4f(0.0, 0.0, 0.0, -1.0)
    return wp.vec4f(p[0] / half[0], p[1] / half[0], 0.0, t)


@wp.func
def hit_bush(o: vec3, d: vec3, half: vec3) -> wp.vec4f:
    """As `hit_box` for an ellipsoid of leaves: its surface is bumpy and has holes."""
    q = wp.cw_div(o, half)
    e = wp.cw_div(d, half)
    a = wp.dot(e, e)
    b = wp.dot(q, e)
    disc = b * b - a * (wp.dot(q, q) - 1.0)
    if disc < 0.0:
        return wp.vec4f(0.0, 0.0, 0.0, -1.0)
    root = wp.sqrt(disc)
    for k in range(6):
        t = (-b - root + 2.0 * root * (float(k) + 0.3) / 6.0) / a
        p = o + t * d
        r = wp.length(wp.cw_div(p, half))
        density = wp.noise(wp.rand_init(17), p * 9.0) + 0.5 * wp.noise(wp.rand_init(18), p * 23.0)
        if t > 1.0e-3 and density > 0.9 * r - 0.55:
            n = wp.normalize(wp.cw_div(p, wp.cw_mul(half, half)))
            return wp.vec4f(n[0], n[1], n[2], t)
    return wp.vec4f(0.0, 0.0, 0.0, -1.0)


@wp.func
def hit_rail(o: vec3, d: vec3, half: vec3) -> wp.vec4f:
    """As `hit_box` for a railing in the plane y = 0: posts, two rails and thin bars, with nothing between them."""
    t = -o[1] / (d[1] + 1.0e-9)
    p = o + t * d
    if t < 1.0e-3 or wp.abs(p[0]) > half[0] or wp.abs(p[2]) > half[2]:
        return wp.vec4f(0.0, 0.0, 0.0, -1.0)
    rail = wp.abs(p[2]) > half[2] - 0.035
    bar = wp.abs(wp.frac(p[0] / 0.13 + 50.0) - 0.5) < 0.075
    post = wp.abs(wp.frac(p[0] / 1.5 + 50.0) - 0.5) < 0.018
    if not (rail or bar or post):
        return wp.vec4f(0.0, 0.0, 0.0, -1.0)
    return wp.vec4f(0.0, -wp.sign(d[1]), 0.0, t)


@wp.func
def hit_prop(props: wp.array2d(dtype=float), i: int, o: vec3, d: vec3) -> wp.vec4f:
    """Row of `props`: kind, centre (3), half size (3), yaw, ..."""
    cosine = wp.cos(props[i, 7])
    sine = wp.sin(props[i, 7])
    centre = vec3(props[i, 1], props[i, 2], props[i, 3])
    half = vec3(props[i, 4], props[i, 5], props[i, 6])
    lo = turn(o - centre, cosine, -sine)
    ld = turn(d, cosine, -sine)
    kind = int(props[i, 0])
    out = wp.vec4f(0.0, 0.0, 0.0, -1.0)
    if kind == 0:
        out = hit_box(lo, ld, half)
    elif kind == 1:
        out = hit_cylinder(lo, ld, half)
    elif kind == 2:
        out = hit_bush(lo, ld, half)
    else:
        out = hit_rail(lo, ld, half)
    if out[3] < 0.0:
        return out
    n = turn(vec3(out[0], out[1], out[2]), cosine, sine)
    return wp.vec4f(n[0], n[1], n[2], out[3])
