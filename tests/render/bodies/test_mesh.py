import numpy as np
import pytest
import scipy.sparse

from reidgen.render.bodies import mesh as msh


def square():
    """The unit square in the plane z = 0, two triangles, bound to two bones by x."""
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    weights = scipy.sparse.csr_matrix(np.stack([1 - points[:, 0], points[:, 0]], 1))
    return msh.build(points, np.array([[0, 1, 2], [0, 2, 3]]), weights, slot=3)


def area(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


@pytest.mark.parametrize("height", [0.1, 0.37, 0.5, 0.9])
def test_clip_cuts_a_straight_hem(height):
    mesh = msh.subdivide(msh.subdivide(square()))
    out = msh.clip(mesh, mesh.vertices[:, 1] - height)
    assert area(out) == pytest.approx(1 - height, abs=1e-5)
    assert out.vertices[:, 1].min() == pytest.approx(height, abs=1e-5)
    assert np.asarray(out.weights.sum(1)).ravel() == pytest.approx(np.ones(len(out.vertices)), abs=1e-5)
    assert out.weights.toarray()[:, 1] == pytest.approx(out.vertices[:, 0], abs=1e-5)  # attributes are cut along


def test_clip_keeps_the_orientation():
    mesh = msh.subdivide(square())
    out = msh.clip(mesh, (mesh.vertices[:, 0] - mesh.vertices[:, 1] + 0.2).astype(np.float32))
    a, b, c = (out.vertices[out.faces[:, i]] for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_clip_of_everything_and_nothing():
    mesh = square()
    assert len(msh.clip(mesh, np.ones(4, np.float32)).faces) == 2
    assert len(msh.clip(mesh, -np.ones(4, np.float32)).faces) == 0


def test_subdivide_keeps_area_and_quadruples_faces():
    mesh = msh.subdivide(square())
    assert len(mesh.faces) == 8 and len(mesh.vertices) == 9
    assert area(mesh) == pytest.approx(1)
    assert (mesh.slots == 3).all()


def test_smoother_keeps_constants():
    matrix = msh.smoother(square().faces, 4)
    assert matrix @ np.ones(4) == pytest.approx(np.ones(4))


def test_a_closed_solid_has_no_open_edge_and_points_outwards():
    points, faces = msh.superellipsoid((1, 2, 3), power=2.0)
    normals = msh.vertex_normals(points, faces, msh.incidence(faces, len(points)))
    body = np.abs(points[:, 2]) < 2
    assert ((normals * points).sum(1)[body] > 0).all()
    assert points == pytest.approx(np.clip(points, [-1, -2, -3], [1, 2, 3]), abs=1e-6)


def test_normals_of_a_plane():
    mesh = square()
    normals = msh.vertex_normals(mesh.vertices, mesh.faces, msh.incidence(mesh.faces, 4))
    assert normals == pytest.approx(np.tile([0, 0, 1], (4, 1)))


def test_join_keeps_every_part():
    both = msh.join([square(), msh.subdivide(square())])
    assert area(both) == pytest.approx(2) and both.faces.max() == len(both.vertices) - 1


def test_bound_to_normalises_and_finds_bones_by_name():
    weights = msh.bound_to({"head": 0, "wrist.L": 1}, 3, head=1.0, wrist__L=np.array([0.0, 1.0, 3.0])).toarray()
    assert weights == pytest.approx(np.array([[1, 0], [0.5, 0.5], [0.25, 0.75]]))
