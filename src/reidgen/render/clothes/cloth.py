"""Pieces of cloth: shells of smoothed body faces pushed off the body, tubes that hang, panels and folds."""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from reidgen.render.bodies import mesh as msh
from reidgen.render.bodies.mesh import Mesh
from reidgen.render.bodies.wardrobe import SLOTS
from reidgen.render.clothes.tailor import CHARTS, LEGS, TORSO, Tailor, torso_axis

Array = NDArray[np.floating[Any]]
COLUMNS = 48  # of a tube around the trunk


def shell(tailor: Tailor, chosen: NDArray[np.bool_], offset: Array, slot: str, *, smoothing: int = 4) -> Mesh:
    """The faces whose vertices are all chosen, pushed out by `offset` metres (V,), with softened skinning."""
    faces = tailor.model.faces[chosen[tailor.model.faces].all(1)]
    used, compact = np.unique(faces, return_inverse=True)
    faces = compact.reshape(faces.shape)
    points = msh.smooth(tailor.soft[used], msh.smoother(faces, len(used)), smoothing)
    normals = msh.vertex_normals(points, faces, msh.incidence(faces, len(used)))
    sunk = np.maximum(((tailor.soft[used] - points) * normals).sum(1), 0)  # smoothing shrinks: never into the body
    points = points + normals * sunk[:, None]
    out = msh.build(
        points + normals * offset[used, None],
        faces,
        tailor.model.weights[used],
        slot=SLOTS.index(slot),
        cloth=tailor.cloth[used],
    )
    return replace(out, weights=_soften(out.weights, msh.smoother(faces, len(used)), 3))


def panel(mesh: Mesh, field: Array, chart: int) -> Mesh:
    """The piece of a shell where the field is positive, with the cloth coordinates of one chart."""
    piece = msh.clip(mesh, field.astype(np.float32))
    at = 3 * CHARTS.index(chart)
    return replace(piece, cloth=piece.cloth[:, at : at + 3], charts=np.full(len(piece.faces), chart))


def _soften(weights: scipy.sparse.csr_matrix, matrix: scipy.sparse.csr_matrix, times: int) -> scipy.sparse.csr_matrix:
    """Cloth bends over a joint less sharply than skin: blur the weights, drop the tiny ones."""
    for _ in range(times):
        weights = matrix @ weights
    weights.data[weights.data < 0.02] = 0
    weights.eliminate_zeros()
    total = np.asarray(weights.sum(1)).ravel()
    return (scipy.sparse.diags((1 / total).astype(np.float32)) @ weights).tocsr()


def with_folds(mesh: Mesh, amplitude: Array, rng: np.random.Generator, *, stretch: float = 3.0) -> Mesh:
    """Three fields of folds up to `amplitude` metres (V,) high, `stretch` times longer along the limb than round it."""
    fields = []
    for _ in range(3):
        total = np.zeros(len(mesh.vertices), np.float32)
        for _ in range(7):
            length = rng.uniform(0.06, 0.2)
            tilt = rng.normal(0, 0.5)
            direction = np.array([np.cos(tilt), np.cos(tilt), np.sin(tilt) + rng.normal(0, 1) / stretch]) * np.array(
                [rng.choice((-1, 1)), rng.uniform(-1, 1), 1]
            )
            wave = mesh.cloth @ (2 * np.pi / length * direction).astype(np.float32) + rng.uniform(0, 7)
            total += 0.6 - np.abs(np.sin(0.5 * wave))
        fields.append(total / 2.2 * amplitude)
    return replace(mesh, folds=np.stack(fields, 1).astype(np.float32))


def soft_max(a: Array, b: Array | np.floating[Any] | float, width: float = 0.02) -> Array:
    """A maximum without a crease."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + width**2) - width * 0.5)


def profile(points: Array, heights: Array, centre: tuple[float, float], columns: int) -> Array:
    """Largest radius of points about a vertical axis for each height and angle (0 is front): (heights, columns)."""
    offset = points[:, :2] - np.asarray(centre, np.float32)
    radius = np.linalg.norm(offset, axis=1)
    angle = np.arctan2(offset[:, 0], -offset[:, 1])
    column = np.round(angle / (2 * np.pi) * columns).astype(int) % columns
    step = abs(float(heights[1] - heights[0]))
    row = np.round((heights[0] - points[:, 2]) / step).astype(int)
    ok = (row >= 0) & (row < len(heights))
    grid = np.zeros((len(heights), columns), np.float32)
    np.maximum.at(grid, (row[ok], column[ok]), radius[ok])
    for _ in range(4):
        near = np.maximum(np.roll(grid, 1, 1), np.roll(grid, -1, 1))
        above = np.maximum(np.vstack([grid[:1], grid[:-1]]), np.vstack([grid[1:], grid[-1:]]))
        grid = np.where(grid > 0.02, grid, np.maximum(near, above))
    return grid


def round_off(grid: Array, times: int = 2) -> Array:
    """Smooth a profile around and along."""
    for _ in range(times):
        grid = (np.roll(grid, 1, 1) + 2 * grid + np.roll(grid, -1, 1)) / 4
    padded = np.vstack([grid[:1], grid, grid[-1:]])
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def ring_hull(grid: Array) -> Array:
    """Radii of the convex hull of each ring: cloth does not follow hollows."""
    columns = grid.shape[1]
    angle = np.arange(columns) * 2 * np.pi / columns
    cosine = np.cos(angle[:, None] - angle[None])
    support = (grid[:, :, None] * cosine[None]).max(1)
    inverse = np.where(cosine > 0.05, 1 / np.maximum(cosine, 0.05), 1e3)
    return np.min(support[:, :, None] * inverse[None], axis=1).astype(np.float32)


def hang(grid: Array, step: float, cling: float) -> Array:
    """Cloth falls from the widest place above; `cling` is by how much a metre of fall draws it in again."""
    out = grid.copy()
    for i in range(1, len(out)):
        out[i] = soft_max(out[i], out[i - 1] - cling * step, 0.006)
    return out


def ring_points(grid: Array, heights: Array, centre: tuple[float, float]) -> Array:
    """Points of a profile, (rows * columns, 3)."""
    angle = np.arange(grid.shape[1]) * 2 * np.pi / grid.shape[1]
    x = centre[0] + grid * np.sin(angle)
    y = centre[1] - grid * np.cos(angle)
    z = np.broadcast_to(heights[:, None], grid.shape)
    return np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)


def borrowed_weights(
    tailor: Tailor, points: Array, *, limbs: tuple[int, ...], neighbours: int = 24
) -> scipy.sparse.csr_matrix:
    """Skinning weights of the nearest body vertices, averaged."""
    rows = np.flatnonzero(np.isin(tailor.model.limb, limbs))
    distance, index = cKDTree(tailor.soft[rows]).query(points, neighbours)
    share = 1 / (distance + 0.02) ** 2
    share /= share.sum(1, keepdims=True)
    n = len(points)
    pick = scipy.sparse.csr_matrix(
        (share.ravel().astype(np.float32), (np.repeat(np.arange(n), neighbours), rows[index].ravel())),
        shape=(n, len(tailor.soft)),
    )
    out = (pick @ tailor.model.weights).tocsr()
    out.data[out.data < 0.01] = 0
    out.eliminate_zeros()
    return (scipy.sparse.diags((1 / np.asarray(out.sum(1)).ravel()).astype(np.float32)) @ out).tocsr()


def tube(
    tailor: Tailor,
    top: float,
    bottom: float,
    ease: float,
    slot: str,
    *,
    flare: float,
    cling: float,
    tight_hem: float = 0.0,
) -> Mesh:
    """Cloth around the trunk from a height down to another."""
    rows = max(5, round((top - bottom) / 0.022))
    heights = np.linspace(top, bottom, rows, dtype=np.float32)
    centre = torso_axis(tailor)
    trunk = np.isin(tailor.model.limb, (TORSO, LEGS["L"], LEGS["R"]))
    points = tailor.soft[trunk]
    grid = ring_hull(round_off(profile(points, heights, centre, COLUMNS)))
    step = (top - bottom) / (rows - 1)
    grid = hang(grid + ease, step, cling)
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    grid = grid + flare * down
    if tight_hem:
        grid -= tight_hem * np.exp(-(((1 - down) * (top - bottom) / 0.05) ** 2))
    points = ring_points(grid, heights, centre)
    cloth = points * np.array([1, -1, 1], np.float32) + np.array([0, centre[1], -tailor.neck], np.float32)
    weights = borrowed_weights(tailor, points, limbs=(TORSO, LEGS["L"], LEGS["R"]))
    return msh.build(points, msh.grid_faces(rows, COLUMNS, closed=True), weights, slot=SLOTS.index(slot), cloth=cloth)
