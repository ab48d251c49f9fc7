# mypy: ignore-errors
# ruff: noqa: UP018, ANN201
# warp compiles these functions from their source: they are Python in form only, and their types are warp's
"""One warp kernel that casts the rays of a crop and shades what they hit. Imports warp: import this module lazily.

A thread is a pixel. Each of its samples x samples rays looks for the nearest of: the person, passers-by, the boxes,
poles and bushes of the place, its walls, the ground. Surfaces get a shadow ray to the sun; people and the ground at
their feet also get a ray into the hemisphere above (ambient light with occlusion). Directions follow from pixel and
sample alone, so that a crop is a pure function of its inputs.
"""

import warp as wp

from reidgen.render.kernels.shapes import hit_prop, turn
from reidgen.render.kernels.surfaces import albedo_person, ground_albedo, hash21, prop_albedo, wall_albedo

vec3 = wp.vec3f


@wp.struct
class View:
    """Camera, light and person of a crop."""

    eye: vec3
    right: vec3
    up: vec3
    forward: vec3
    left_edge: float  # of the crop on the image plane at distance one
    right_edge: float
    top_edge: float
    bottom_edge: float
    sun: vec3  # towards the light
    sun_colour: vec3
    sky: vec3
    bounce: vec3
    haze: vec3
    haze_per_metre: float
    softness: float  # radius of the sun's disc
    person: vec3  # where the person stands
    seed: int
    samples: int
    width: int
    height: int
    walls: int
    props: int
    passers: int
    ground_kind: int
    ground_scale: float
    ground_angle: float
    ground_a: vec3
    ground_b: vec3


@wp.struct
class Hit:
    """The nearest thing along a ray; kind: 0 nothing, 1 the person, 2 a passer-by, 3 prop, 4 wall, 5 ground."""

    t: float
    kind: int
    index: int
    face: int
    u: float
    v: float
    normal: vec3


@wp.func
def trace(
    o: vec3,
    d: vec3,
    view: View,
    person: wp.uint64,
    passer_ids: wp.array(dtype=wp.uint64),
    passer_place: wp.array(dtype=wp.vec4f),
    props: wp.array2d(dtype=float),
    walls: wp.array2d(dtype=float),
) -> Hit:
    """The nearest hit along a ray."""
    hit = Hit()
    hit.t = 1.0e6
    hit.kind = 0
    q = wp.mesh_query_ray(person, o, d, 1.0e6)
    if q.result:
        hit.t = q.t
        hit.kind = 1
        hit.face = q.face
        hit.u = q.u
        hit.v = q.v
        hit.normal = q.normal
    for i in range(view.passers):
        place = passer_place[i]
        cosine = wp.cos(place[3])
        sine = wp.sin(place[3])
        lo = turn(o - vec3(place[0], place[1], place[2]), cosine, -sine)
        r = wp.mesh_query_ray(passer_ids[i], lo, turn(d, cosine, -sine), hit.t)
        if r.result and r.t < hit.t:
            hit.t = r.t
            hit.kind = 2
            hit.index = i
            hit.face = r.face
            hit.u = r.u
            hit.v = r.v
            hit.normal = turn(r.normal, cosine, sine)
    for i in range(view.props):
        p = hit_prop(props, i, o, d)
        if p[3] > 0.0 and p[3] < hit.t:
            hit.t = p[3]
            hit.kind = 3
            hit.index = i
            hit.normal = vec3(p[0], p[1], p[2])
    for i in range(view.walls):  # row: x, y of a point, yaw, bottom, height, ...
        n = vec3(wp.sin(walls[i, 2]), -wp.cos(walls[i, 2]), 0.0)
        t = wp.dot(vec3(walls[i, 0], walls[i, 1], 0.0) - o, n) / (wp.dot(d, n) + 1.0e-9)
        z = o[2] + t * d[2]
        if t > 1.0e-3 and t < hit.t and z > walls[i, 3] and z < walls[i, 3] + walls[i, 4]:
            hit.t = t
            hit.kind = 4
            hit.index = i
            hit.normal = n
    if d[2] < -1.0e-6:
        t = -o[2] / d[2]
        if t > 1.0e-3 and t < hit.t:
            hit.t = t
            hit.kind = 5
            hit.normal = vec3(0.0, 0.0, 1.0)
    return hit


@wp.func
def blocked(
    o: vec3,
    d: vec3,
    view: View,
    person: wp.uint64,
    passer_ids: wp.array(dtype=wp.uint64),
    passer_place: wp.array(dtype=wp.vec4f),
    props: wp.array2d(dtype=float),
) -> float:
    """1 where a ray towards the light meets a person or a prop, else 0."""
    if wp.mesh_query_ray_anyhit(person, o, d, 6.0):
        return 1.0
    for i in range(view.passers):
        place = passer_place[i]
        cosine = wp.cos(place[3])
        sine = wp.sin(place[3])
        lo = turn(o - vec3(place[0], place[1], place[2]), cosine, -sine)
        if wp.mesh_query_ray_anyhit(passer_ids[i], lo, turn(d, cosine, -sine), 6.0):
            return 1.0
    for i in range(view.props):
        p = hit_prop(props, i, o, d)
        if p[3] > 0.0:
            return 1.0
    return 0.0


@wp.func
def hemisphere(n: vec3, a: float, b: float) -> vec3:
    """A direction about n with cosine density, from two numbers in [0, 1)."""
    z = wp.sqrt(1.0 - a)
    r = wp.sqrt(a)
    other = vec3(1.0, 0.0, 0.0)
    if wp.abs(n[0]) > 0.7:
        other = vec3(0.0, 1.0, 0.0)
    x = wp.normalize(wp.cross(n, other))
    y = wp.cross(n, x)
    return wp.normalize(x * (r * wp.cos(6.2831853 * b)) + y * (r * wp.sin(6.2831853 * b)) + n * z)


@wp.func
def interpolate(values: wp.array(dtype=vec3), faces: wp.array(dtype=int), hit: Hit) -> vec3:
    """Barycentric mean of a vertex attribute."""
    a = values[faces[3 * hit.face]]
    b = values[faces[3 * hit.face + 1]]
    c = values[faces[3 * hit.face + 2]]
    return hit.u * a + hit.v * b + (1.0 - hit.u - hit.v) * c


@wp.kernel
def cast(
    view: View,
    person: wp.uint64,
    faces: wp.array(dtype=int),
    slots: wp.array(dtype=int),
    charts: wp.array(dtype=int),
    normals: wp.array(dtype=vec3),
    cloth: wp.array(dtype=vec3),
    materials: wp.array2d(dtype=float),
    passer_ids: wp.array(dtype=wp.uint64),
    passer_place: wp.array(dtype=wp.vec4f),
    passer_row: wp.array(dtype=int),
    passer_tint: wp.array2d(dtype=float),
    passer_slots: wp.array2d(dtype=int),
    props: wp.array2d(dtype=float),
    walls: wp.array2d(dtype=float),
    colour: wp.array(dtype=vec3),
    part: wp.array2d(dtype=wp.uint8),
    surface: wp.array(dtype=vec3),
):
    """Linear colour, slot of the person (255: something else) per sample, and summed camera-space normal of a pixel."""
    pixel = wp.tid()
    row = pixel // view.width
    column = pixel % view.width
    n_samples = view.samples * view.samples
    jitter = 0.4 * hash21(float(column) + 0.5, float(row) + float(view.seed % 4093))
    # an additive recurrence in both directions: neighbours differ most, so a blur of a pixel averages the noise away
    base0 = wp.frac(0.7548776662 * float(column) + 0.5698402910 * float(row) + jitter)
    base1 = wp.frac(0.5698402910 * float(column) + 0.7548776662 * float(row) + 1.37 * jitter)
    total = vec3(0.0, 0.0, 0.0)
    normal_sum = vec3(0.0, 0.0, 0.0)
    for s in range(n_samples):
        h0 = wp.frac(base0 + 0.6180339887 * float(s))  # spread evenly over the samples of a pixel
        h1 = wp.frac(base1 + (float(s) + 0.5) / float(n_samples))
        fx = (float(column) + (float(s % view.samples) + 0.5) / float(view.samples)) / float(view.width)
        fy = (float(row) + (float(s / view.samples) + 0.5) / float(view.samples)) / float(view.height)
        x = view.left_edge + fx * (view.right_edge - view.left_edge)
        y = view.top_edge + fy * (view.bottom_edge - view.top_edge)
        d = wp.normalize(view.forward + view.right * x + view.up * y)
        hit = trace(view.eye, d, view, person, passer_ids, passer_place, props, walls)
        part[pixel, s] = wp.uint8(255)
        p = view.eye + d * hit.t
        n = hit.normal
        albedo = vec3(0.5, 0.5, 0.5)
        gloss = float(0.0)
        near = bool(True)
        if hit.kind == 1:
            slot = slots[hit.face]
            n = wp.normalize(interpolate(normals, faces, hit))
            if wp.dot(n, d) > 0.0:
                n = -n if wp.dot(hit.normal, d) > 0.0 else wp.normalize(n - 1.02 * wp.dot(n, d) * d)
            part[pixel, s] = wp.uint8(slot)
            normal_sum += vec3(wp.dot(n, view.right), wp.dot(n, view.up), -wp.dot(n, view.forward))
            m = albedo_person(materials, slot, charts[hit.face], interpolate(cloth, faces, hit))
            albedo = vec3(m[0], m[1], m[2])
            gloss = m[3]
        elif hit.kind == 2:
            who = passer_row[hit.index]
            slot = passer_slots[who, hit.face]
            albedo = vec3(passer_tint[who, 3 * slot], passer_tint[who, 3 * slot + 1], passer_tint[who, 3 * slot + 2])
            if wp.dot(n, d) > 0.0:
                n = -n
        elif hit.kind == 3:
            albedo = prop_albedo(props, hit.index, p, n)
        elif hit.kind == 4:
            i = hit.index
            along = (p[0] - walls[i, 0]) * wp.cos(walls[i, 2]) + (p[1] - walls[i, 1]) * wp.sin(walls[i, 2])
            albedo = wall_albedo(walls, i, along, p[2], d)
            near = wp.abs(along) < 60.0 and hit.t < 30.0
        elif hit.kind == 5:
            albedo = ground_albedo(
                view.ground_kind, view.ground_scale, view.ground_angle, view.ground_a, view.ground_b, p, hit.t
            )
            reach = p - view.person
            near = reach[0] * reach[0] + reach[1] * reach[1] < 9.0 or view.props > 0 or view.passers > 0
        light = vec3(0.0, 0.0, 0.0)
        if hit.kind == 0:
            total += view.haze * (0.9 + 0.2 * h0)
        else:
            facing = wp.dot(n, view.sun)
            if facing > 0.0:
                shadow = float(0.0)
                strength = view.sun_colour[0] + view.sun_colour[1] + view.sun_colour[2]
                if near and strength > 0.05:
                    towards = wp.normalize(view.sun + view.softness * hemisphere(view.sun, h0, h1))
                    shadow = blocked(p + n * 0.004, towards, view, person, passer_ids, passer_place, props)
                light += view.sun_colour * (facing * (1.0 - shadow))
            out = hemisphere(n, h1, h0)
            ambient = wp.lerp(view.bounce, view.sky, wp.clamp(0.5 + 0.75 * out[2], 0.0, 1.0))
            reach = p - view.person
            if hit.kind == 1 or (hit.kind == 5 and reach[0] * reach[0] + reach[1] * reach[1] < 1.2):
                near_by = wp.mesh_query_ray(person, p + n * 0.004, out, 0.8)
                if near_by.result:  # the nearer, the darker
                    ambient = ambient * (0.25 + 0.6 * near_by.t)
            if hit.kind == 3:
                ambient = ambient * wp.clamp(0.45 + p[2], 0.45, 1.0)
            if hit.kind == 2:
                ambient = ambient * (0.55 + 0.45 * wp.abs(wp.dot(n, d)))
            light += ambient
            shaded = wp.cw_mul(albedo, light)
            if gloss > 0.0:
                half = wp.normalize(view.sun - d)
                shine = wp.pow(wp.max(wp.dot(n, half), 0.0), 24.0)
                rim = wp.pow(1.0 - wp.abs(wp.dot(n, d)), 4.0)
                shaded += gloss * (shine * view.sun_colour + 0.35 * rim * view.sky)
            fade = 1.0 - wp.exp(-hit.t * view.haze_per_metre)
            total += wp.lerp(shaded, view.haze, fade)
    colour[pixel] = total / float(n_samples)
    surface[pixel] = normal_sum


@wp.kernel
def depths(
    view: View,
    person: wp.uint64,
    passer_ids: wp.array(dtype=wp.uint64),
    passer_place: wp.array(dtype=wp.vec4f),
    props: wp.array2d(dtype=float),
    walls: wp.array2d(dtype=float),
    targets: wp.array(dtype=vec3),
    gap: wp.array(dtype=float),
):
    """How far before each target point (metres) the ray from the camera to it is stopped."""
    i = wp.tid()
    d = targets[i] - view.eye
    length = wp.length(d)
    hit = trace(view.eye, d / length, view, person, passer_ids, passer_place, props, walls)
    gap[i] = length - hit.t
