import numpy as np
import pytest

from reidgen.render.bodies.poses import ARM_STYLES, Pose, arm_style, bump, gait, sample_pose


def test_bump_is_periodic_and_one_at_its_place():
    assert bump(0.3, 0.3, 0.1) == 1
    assert bump(0.95, 0.05, 0.1) == pytest.approx(bump(0.15, 0.05, 0.1))


def test_gait_matches_textbook_ranges():
    phases = np.linspace(0, 1, 200, endpoint=False)
    hip, knee, ankle = np.array([gait(p, 1.0) for p in phases]).T
    assert 25 < hip.max() < 35 and -20 < hip.min() < -10
    assert phases[hip.argmin()] == pytest.approx(0.52, abs=0.03)  # extended just before the foot leaves the ground
    assert 55 < knee.max() < 70 and knee.min() > 0
    assert phases[knee.argmax()] == pytest.approx(0.72, abs=0.02)
    assert -25 < ankle.min() < -10 and phases[ankle.argmin()] == pytest.approx(0.63, abs=0.03)


def test_poses_stay_within_what_joints_can_do():
    for seed in range(300):
        pose = sample_pose(np.random.default_rng(seed))
        assert all(-3 <= k <= 80 for k in pose.knee), seed
        assert all(-30 <= h <= 50 for h in pose.hip), seed
        assert all(0 < e < 155 for e in pose.elbow), seed
        assert all(-15 < a < 45 for a in pose.abduction), seed
        assert abs(pose.lean) < 15 and abs(pose.twist) < 30


def test_walking_legs_are_half_a_cycle_apart_and_arms_swing_against_them():
    legs, arms = [], []
    for seed in range(400):
        pose = sample_pose(np.random.default_rng(seed))
        if pose.name == "walk" and max(pose.elbow) < 60:
            legs.append(pose.hip[0] - pose.hip[1])
            arms.append(pose.shoulder[0] - pose.shoulder[1])
    assert len(legs) > 150
    assert np.corrcoef(legs, arms)[0, 1] < -0.8
    assert np.std(legs) > 15


def test_a_bag_keeps_its_arm_down():
    for seed in range(60):
        pose = sample_pose(np.random.default_rng(seed), ("bag", ""))
        assert pose.elbow[0] < 40


def test_equal_seeds_give_equal_poses():
    a, b = (sample_pose(np.random.default_rng(5)) for _ in range(2))
    assert isinstance(a, Pose) and a == b != sample_pose(np.random.default_rng(6))


@pytest.mark.parametrize("style", ARM_STYLES)
def test_every_arm_style_is_four_finite_angles(style):
    assert np.isfinite(arm_style(np.random.default_rng(0), style, 0.3, 1.0)).all()
