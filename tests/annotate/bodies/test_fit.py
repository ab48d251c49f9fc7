import numpy as np
import pytest

from reidgen.annotate.bodies import fitting
from reidgen.annotate.bodies.body import Body, as_rows, error_of, points_of
from reidgen.annotate.bodies.fit import CAMERA, Fitted, _Problem, fit, posed, rotations, seen
from reidgen.annotate.bodies.fitting import camera_pitch, fit_bodies
from reidgen.annotate.bodies.skeleton import mean_body
from reidgen.annotate.yaw import camera
from reidgen.engine.blocks import ScoreFolder
from reidgen.errors import DataError
from reidgen.render.bodies.body import body_model, pose_bones, rotation_matrix, skin


def people(who, count, *, pitch, seed=0, size=40.0):
    """Bodies as people hold themselves, their state, and their points on the picture with scores of 1."""
    rng = np.random.default_rng(seed)
    angles = who.mean + rng.normal(0, 0.7, (count, who.spread.shape[1])) @ who.spread.T
    places = np.column_stack([rng.uniform(-np.pi, np.pi, count), np.full(count, np.log(size)), np.zeros(count)])
    state = np.column_stack([places, rng.uniform(20, 60, (count, 2))])
    shown = seen(posed(angles, who)[0], state, np.full(count, np.radians(pitch)), who.heads[0])[0]
    return angles, state, np.concatenate([shown, np.ones((count, 17, 1))], axis=2)


def test_rotations_and_what_a_small_change_turns():
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(0, 1.2, (20, 3)), np.zeros((1, 3)), rng.normal(0, 1e-5, (3, 3))])
    turns, slopes = rotations(vectors)
    for vector, turn, slope in zip(vectors, turns, slopes, strict=True):
        assert turn == pytest.approx(rotation_matrix(vector), abs=1e-9)
        change = 1e-5 * rng.normal(size=3)
        # second order: |change|^2 and the rounding of 1e-16 / 1e-9
        assert rotation_matrix(slope @ change) @ turn == pytest.approx(rotation_matrix(vector + change), abs=1e-8)


def test_points_without_a_mesh_are_those_of_the_mesh(who):
    model, body = body_model(), mean_body()
    for seed in range(3):
        vectors = np.random.default_rng(seed).normal(0, 0.4, (len(who.names), 3))
        bones = pose_bones(model, body.heads, dict(zip(who.names, vectors, strict=True)))
        slow = model.keypoints @ skin(body.vertices, model.weights, bones)
        assert posed(vectors.ravel()[None], who)[0][0] == pytest.approx(slow, abs=3e-4)  # metres; the mesh is float32


def test_camera_is_that_of_the_yaw_fit(who):
    state = np.array([[np.radians(70), np.log(30.0), 0, 7.0, 9.0]])
    body = np.random.default_rng(0).normal(size=(1, 5, 3))
    slow = 30 * (body[0] - who.heads[0]) @ camera(np.radians(12), np.radians(70)).T + [7, 9]
    assert seen(body, state, np.radians([12.0]), who.heads[0])[0][0] == pytest.approx(slow)
    assert Body(12, 60, (30, 30), (7, 9), np.zeros((1, 3))).axes(10)[:2] == pytest.approx(camera(*np.radians([12, 70])))


def test_gradient_by_differences(who):
    points = people(who, 3, pitch=10)[2] + np.random.default_rng(1).normal(0, 2, (3, 17, 3)) * [1, 1, 0]
    problem = _Problem.of(points, np.radians([0.0, 10.0, 25.0]), who)
    state = problem.start(np.radians([0.0, 100.0, -170.0]))
    state += np.random.default_rng(2).normal(0, 0.2, state.shape)
    gradient = problem.look(state)[1]
    for number in range(state.shape[1]):
        step = np.eye(state.shape[1])[number] * 1e-5
        energies = [problem.look(state + sign * step)[0] for sign in (1, -1)]
        # central differences of energies of some 1e3: 1e-16 * 1e3 / 1e-5 rounding, third derivatives times 1e-10
        assert (energies[0] - energies[1]) / 2e-5 == pytest.approx(gradient[:, number], rel=1e-4, abs=1e-4)


def test_planted_bodies_are_found(who):
    angles, state, points = people(who, 24, pitch=12)
    found = fit(points, np.full(24, 12.0), who)
    apart = np.degrees(np.abs(np.angle(np.exp(1j * (found.camera[:, 0] - state[:, 0])))))
    assert np.median(apart) < 5 and (apart > 90).mean() < 0.1
    rows = as_rows(found, np.full(24, 12.0))
    assert np.median(np.linalg.norm(points_of(rows, who) - points[..., :2], axis=-1)) < 1  # pixels of about 65
    truth = _Problem.of(points, np.full(24, np.radians(12.0)), who)
    planted = np.column_stack([state, (angles - who.mean) @ np.linalg.pinv(who.spread).T])
    assert (found.energy <= truth.look(planted)[0] + 1e-6).mean() > 0.9  # likelier than the truth, as a fit should be


def test_energy_falls_from_every_start_and_unsure_points_count_little(who):
    points = people(who, 6, pitch=12, seed=3)[2]
    wrong = points.copy()
    wrong[:, 9] += [40, -30, -1.0]  # a wrist far off, with score 0
    rows = [as_rows(fit(one, np.full(6, 12.0), who), np.full(6, 12.0)) for one in (points, wrong)]
    others = np.arange(17) != 9
    apart = np.linalg.norm(points_of(rows[0], who) - points_of(rows[1], who), axis=-1)[:, others]
    assert np.median(apart) < 2


def test_pitch_of_a_camera(who):
    low, high = (camera_pitch(people(who, 30, pitch=pitch, seed=5)[2]) for pitch in (4.0, 24.0))
    assert abs(low - 4) < 6 and abs(high - 24) < 6


def test_blocks_that_are_kept_are_not_fitted_again(who, tmp_path, monkeypatch):
    points = people(who, 5, pitch=12)[2]
    kept = ScoreFolder(tmp_path, "run")
    whole = fit_bodies(points, np.array([1, 2, 1, 2, 1]), kept=kept)
    monkeypatch.setattr(fitting, "fit", None)
    assert np.array_equal(fit_bodies(points, np.array([1, 2, 1, 2, 1]), kept=kept), whole)
    assert (whole[[0, 2, 4], 0] == whole[0, 0]).all()  # one pitch a camera
    assert error_of(whole[:, :-1], points, who) == pytest.approx(whole[:, -1], abs=1e-4)


def test_a_body_reads_its_numbers_back(who):
    angles = np.radians(np.random.default_rng(0).normal(0, 20, (1, len(who.mean))))
    place = np.array([[np.radians(-75), np.log(40.0), 0.02, 31.5, 70.25]])
    row = as_rows(Fitted(angles, place, np.zeros(1)), np.array([11.5]))[0]
    body = Body.of(row.tolist(), "x.jpg")
    assert (body.pitch, body.yaw, body.place) == (11.5, -75, (31.5, 70.25))
    assert body.scale == pytest.approx((40 * np.exp(0.02), 40 * np.exp(-0.02)), abs=1e-3)
    assert body.angles.ravel() == pytest.approx(np.degrees(angles[0]), abs=1e-3)
    for wrong in (
        row[:-1],
        np.where(np.arange(len(row)) == 2, 0, row),
        np.where(np.arange(len(row)) == 7, np.nan, row),
    ):
        with pytest.raises(DataError, match=r"body of x\.jpg is none"):
            Body.of(wrong.tolist(), "x.jpg")


def test_state_has_the_camera_first(who):
    assert _Problem.of(people(who, 1, pitch=0)[2], np.zeros(1), who).start(np.zeros(1)).shape == (
        1,
        CAMERA + who.spread.shape[1],
    )
