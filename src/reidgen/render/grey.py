"""A naked body in grey, from any side, by the ray caster. Imports warp: import this module lazily."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from reidgen.render.bodies.body import BodyModel, RestBody, pose_bones, skin
from reidgen.render.kernels.shade import shade

Array = NDArray[np.floating[Any]]
AMBIENT = 0.3  # grey of what turns away from the light
LIGHT = (-0.6, -0.5, -0.62)  # towards it, to the right, down and forward: from above the left shoulder of the camera
SAMPLES = 2  # rays a pixel along each axis


class GreyStudio:
    """One body's mesh, whose tree is built once, at rest: equal pictures for equal poses.

    Args:
        model: Topology and skinning.
        body: Who it is.
    """

    def __init__(self, model: BodyModel, body: RestBody) -> None:
        self.model, self.body = model, body
        with wp.ScopedDevice("cpu"):
            indices: Any = wp.array(model.faces.ravel(), dtype=int)
            self._mesh: Any = wp.Mesh(points=wp.array(body.vertices, dtype=wp.vec3f), indices=indices)

    def bend(self, rotations: Mapping[str, Array]) -> None:
        """Put the body into a pose: rotation vectors in radians about the rest axes, as `pose_bones` takes them."""
        bones = pose_bones(self.model, self.body.heads, dict(rotations))
        with wp.ScopedDevice("cpu"):
            self._mesh.points.assign(skin(self.body.vertices, self.model.weights, bones).astype(np.float32))
            self._mesh.refit()

    def show(
        self, axes: Array, scale: tuple[float, float], place: tuple[float, float], size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """The body as a camera sees it in weak perspective: uint8 (H, W), 0 beside it, above 0 on it.

        Args:
            axes: Right, down and forward of the camera, unit vectors (3, 3) in the body's axes.
            scale: Pixels a metre, to the right and down.
            place: Pixels (x, y) at which the head of the root bone is seen.
            size: (height, width).
        """
        height, width = size
        grey: Any = wp.zeros(height * width, dtype=float, device="cpu")
        step = 1 / scale[0], 1 / scale[1]
        root = self.body.heads[self.model.bones["root"]]
        vectors = [wp.vec3f(*map(float, one)) for one in (root, *axes, np.array(LIGHT) @ axes)]
        corner = [float(-place[0] * step[0]), float(-place[1] * step[1]), *map(float, step)]
        wp.launch(
            shade,
            dim=height * width,
            inputs=[self._mesh.id, *vectors, *corner, width, SAMPLES, AMBIENT, grey],
            device="cpu",
        )
        return np.round(grey.numpy().reshape(size) * 255).astype(np.uint8)
