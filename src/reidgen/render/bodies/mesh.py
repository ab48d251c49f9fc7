"""Triangle meshes bound to bones: cutting, refining, smoothing, joining, and bodies of revolution."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A part of a person at rest.

    Attributes:
        vertices: (V, 3) metres.
        faces: (F, 3).
        weights: Skinning weights (V, bones).
        cloth: Pattern coordinates (V, 3): left, front, along, in metres about the limb.
        slots: Material of each face (F,).
        charts: Limb of each face (F,), an index into `body.LIMBS`.
        folds: Three fields of folds (V, 3): how far each lifts the cloth, metres.
    """

    vertices: Array
    faces: Ints
    weights: scipy.sparse.csr_matrix
    cloth: Array
    slots: Ints
    charts: Ints
    folds: Array

    def moved(self, offsets: Array) -> "Mesh":
        """The mesh with offsets (V, 3) added."""
        return replace(self, vertices=self.vertices + offsets)


def build(
    vertices: Array,
    faces: Ints,
    weights: scipy.sparse.csr_matrix,
    *,
    slot: int,
    chart: Ints | int = 0,
    cloth: Array | None = None,
) -> Mesh:
    """A mesh of one material without folds; cloth coordinates default to the place at rest."""
    if cloth is None:
        cloth = vertices * np.array([1, -1, 1], np.float32)
    count = len(faces)
    charts = np.broadcast_to(np.asarray(chart, np.int64), count)
    return Mesh(
        vertices.astype(np.float32),
        faces.astype(np.int64),
        weights.tocsr(),
        cloth.astype(np.float32),
        np.full(count, slot),
        charts,
        np.zeros((len(vertices), 3), np.float32),
    )


def mix_vertices(mesh: Mesh, mixer: scipy.sparse.csr_matrix, faces: Ints, origin: Ints) -> Mesh:
    """A mesh whose vertices are weighted means (rows of `mixer`) of the old ones; `origin` is each face's old one."""
    return Mesh(
        mixer @ mesh.vertices,
        faces,
        (mixer @ mesh.weights).tocsr(),
        mixer @ mesh.cloth,
        mesh.slots[origin],
        mesh.charts[origin],
        mixer @ mesh.folds,
    )


def keep_faces(mesh: Mesh, keep: NDArray[np.bool_]) -> Mesh:
    """Only some faces, and only the vertices that they use."""
    faces = mesh.faces[keep]
    used, compact = np.unique(faces, return_inverse=True)
    pick = scipy.sparse.identity(len(mesh.vertices), np.float32, "csr")[used]
    return mix_vertices(mesh, pick, compact.reshape(faces.shape), np.flatnonzero(keep))


def clip(mesh: Mesh, field: Array) -> Mesh:
    """Cut the mesh along the zero line of a vertex field (V,) and keep where it is positive: a clean hem."""
    inside = field > 0
    count = inside[mesh.faces].sum(1)
    whole = np.flatnonzero(count == 3)
    corner, wide = np.flatnonzero(count == 1), np.flatnonzero(count == 2)
    one = _rotate_to(mesh.faces[corner], inside, wanted=True)
    two = _rotate_to(mesh.faces[wide], inside, wanted=False)
    edges = np.concatenate([one[:, [0, 1]], one[:, [0, 2]], two[:, [0, 1]], two[:, [0, 2]]])
    if len(edges) == 0:
        return keep_faces(mesh, count == 3)
    keys, index = np.unique(np.sort(edges, 1), axis=0, return_inverse=True)
    ids = len(mesh.vertices) + index.ravel()
    n, m = len(one), len(two)
    ab, ac, da, db = ids[:n], ids[n : 2 * n], ids[2 * n : 2 * n + m], ids[2 * n + m :]
    faces = np.concatenate(
        [
            mesh.faces[whole],
            np.stack([one[:, 0], ab, ac], 1),
            np.stack([da, two[:, 1], two[:, 2]], 1),
            np.stack([da, two[:, 2], db], 1),
        ]
    )
    low, high = field[keys[:, 0]].astype(np.float64), field[keys[:, 1]].astype(np.float64)
    share = low / (low - high)
    mixer = scipy.sparse.vstack(
        [scipy.sparse.identity(len(mesh.vertices), np.float32, "csr"), _between(keys, share, len(mesh.vertices))]
    )
    origin = np.concatenate([whole, corner, wide, wide])
    return keep_faces(mix_vertices(mesh, mixer.tocsr(), faces, origin), np.ones(len(faces), bool))


def _rotate_to(faces: Ints, inside: NDArray[np.bool_], *, wanted: bool) -> Ints:
    first = (inside[faces] == wanted).argmax(1)
    order = (first[:, None] + np.arange(3)) % 3
    return np.take_along_axis(faces, order, 1)


def _between(edges: Ints, share: NDArray[np.floating[Any]], vertices: int) -> scipy.sparse.csr_matrix:
    rows = np.repeat(np.arange(len(edges)), 2)
    values = np.stack([1 - share, share], 1).ravel().astype(np.float32)
    return scipy.sparse.csr_matrix((values, (rows, edges.ravel())), shape=(len(edges), vertices))


def subdivide(mesh: Mesh) -> Mesh:
    """Every triangle in four, without moving the surface."""
    f = mesh.faces
    edges = np.sort(np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]), 1)
    keys, index = np.unique(edges, axis=0, return_inverse=True)
    a, b, c = (len(mesh.vertices) + index.ravel()).reshape(3, -1)
    faces = np.concatenate([np.stack(t, 1) for t in ((f[:, 0], a, c), (a, f[:, 1], b), (c, b, f[:, 2]), (a, b, c))])
    half = _between(keys, np.full(len(keys), 0.5), len(mesh.vertices))
    mixer = scipy.sparse.vstack([scipy.sparse.identity(len(mesh.vertices), np.float32, "csr"), half]).tocsr()
    return mix_vertices(mesh, mixer, faces, np.tile(np.arange(len(f)), 4))


def smoother(faces: Ints, vertices: int) -> scipy.sparse.csr_matrix:
    """The matrix (V, V) that puts every vertex halfway to the mean of its neighbours."""
    i = faces[:, [0, 1, 1, 2, 2, 0]].ravel()
    j = faces[:, [1, 0, 2, 1, 0, 2]].ravel()
    links = scipy.sparse.csr_matrix((np.ones(len(i), np.float32), (i, j)), shape=(vertices, vertices))
    links.data[:] = 1
    degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1)
    mean = scipy.sparse.diags((1 / degree).astype(np.float32)) @ links
    return (0.5 * scipy.sparse.identity(vertices, np.float32, "csr") + 0.5 * mean).tocsr()


def smooth(values: Array, matrix: scipy.sparse.csr_matrix, times: int) -> Array:
    """Apply a smoother several times."""
    for _ in range(times):
        values = matrix @ values
    return values


def incidence(faces: Ints, vertices: int) -> scipy.sparse.csr_matrix:
    """Matrix (V, F) that sums over the faces around each vertex."""
    columns = np.repeat(np.arange(len(faces)), 3)
    return scipy.sparse.csr_matrix(
        (np.ones(3 * len(faces), np.float32), (faces.ravel(), columns)), shape=(vertices, len(faces))
    )


def vertex_normals(vertices: Array, faces: Ints, around: scipy.sparse.csr_matrix) -> Array:
    """Unit normals (V, 3), weighted by area; `around` is `incidence`."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    sums = around @ np.cross(b - a, c - a)
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=False)]),
        scipy.sparse.vstack([m.weights for m in meshes]).tocsr(),
        np.concatenate([m.cloth for m in meshes]),
        np.concatenate([m.slots for m in meshes]),
        np.concatenate([m.charts for m in meshes]),
        np.concatenate([m.folds for m in meshes]),
    )


def grid_faces(rows: int, columns: int, *, closed: bool) -> Ints:
    """Triangles of a rows x columns grid of vertices; `closed` joins the last column to the first."""
    i = np.arange(rows - 1)[:, None]
    j = np.arange(columns if closed else columns - 1)[None]
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate(
        [
            np.stack(np.broadcast_arrays(a, c, b), -1).reshape(-1, 3),
            np.stack(np.broadcast_arrays(b, c, d), -1).reshape(-1, 3),
        ]
    )


def bound_to(bones: dict[str, int], count: int, **shares: Array | float) -> scipy.sparse.csr_matrix:
    """Weights of `count` vertices shared by named bones ("_" stands for "." in the names); rows are normalised."""
    dense = np.zeros((count, len(bones)), np.float32)
    for name, share in shares.items():
        dense[:, bones[name.replace("__", ".")]] = share
    dense /= np.maximum(dense.sum(1, keepdims=True), 1e-9)
    return scipy.sparse.csr_matrix(dense)


def superellipsoid(
    half: tuple[float, float, float], *, power: float = 4.0, rings: int = 9, columns: int = 14
) -> tuple[Array, Ints]:
    """A box with rounded edges about the origin: vertices and faces."""
    v = np.linspace(np.pi / 2, -np.pi / 2, rings)[:, None]
    u = np.arange(columns)[None] * 2 * np.pi / columns

    def power_of(x: Array) -> Array:
        return np.sign(x) * np.abs(x) ** (2 / power)

    shape = np.stack(
        np.broadcast_arrays(
            power_of(np.cos(v)) * power_of(np.cos(u)), power_of(np.cos(v)) * power_of(np.sin(u)), power_of(np.sin(v))
        ),
        -1,
    )
    return (shape.reshape(-1, 3) * np.array(half)).astype(np.float32), grid_faces(rings, columns, closed=True)
