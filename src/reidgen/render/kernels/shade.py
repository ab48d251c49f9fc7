# mypy: ignore-errors
# ruff: noqa: UP018, ANN201
# warp compiles these functions from their source: they are Python in form only, and their types are warp's
"""A warp kernel that shows a naked mesh in grey by parallel rays. Imports warp: import this module lazily."""

import warp as wp

vec3 = wp.vec3f
BEFORE = wp.constant(4.0)  # metres before the body's middle at which rays start


@wp.kernel
def shade(
    mesh: wp.uint64,
    centre: vec3,
    right: vec3,
    down: vec3,
    forward: vec3,
    light: vec3,
    left: float,
    top: float,
    step_x: float,
    step_y: float,
    width: int,
    samples: int,
    ambient: float,
    grey: wp.array(dtype=float),
):
    """Share of light of each pixel, 0 to 1: 0 beside the mesh, `ambient` where it turns away from the light.

    Pixel (x, y) is (left + x step_x, top + y step_y) metres to the right and down of `centre`.
    """
    pixel = wp.tid()
    total = float(0.0)
    for sample in range(samples * samples):
        x = float(pixel % width) + (float(sample % samples) + 0.5) / float(samples)
        y = float(pixel / width) + (float(sample / samples) + 0.5) / float(samples)
        origin = centre + right * (left + x * step_x) + down * (top + y * step_y) - forward * BEFORE
        hit = wp.mesh_query_ray(mesh, origin, forward, 2.0 * BEFORE)
        if hit.result:
            total += ambient + (1.0 - ambient) * wp.max(0.0, wp.dot(hit.normal, light))
    grey[pixel] = total / float(samples * samples)
