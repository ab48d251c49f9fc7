import numpy as np

from reidgen.render.cameras import sample_camera
from reidgen.render.scene import PROP_COLUMNS, WALL_COLUMNS, Scene, clear_of_props, furniture, sample_scene


def scene_with(props):
    table = np.array(props, np.float32).reshape(-1, PROP_COLUMNS)
    return Scene(0, 1.0, 0.0, (0.3, 0.3, 0.3), (0.3, 0.3, 0.3), np.zeros((0, WALL_COLUMNS), np.float32), table)


def test_scenes_repeat_and_have_rows_of_the_kernels_width():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        camera = sample_camera(rng)
        a, b = (sample_scene(camera, np.random.default_rng([seed, 1])) for _ in range(2))
        assert (a.props == b.props).all() and (a.walls == b.walls).all() and a.ground == b.ground
        assert a.walls.shape[1] == WALL_COLUMNS and len(a.walls) >= 1
        assert a.props.shape[1] == PROP_COLUMNS and np.isfinite(a.props).all()
        assert all(0 <= v <= 1 for v in (*a.ground_a, *a.ground_b))


def test_nobody_stands_in_a_box():
    box = furniture("box", 1.0, 6.0, np.random.default_rng(0))
    scene = scene_with(box)
    assert not clear_of_props(scene, 1.0, 6.0)
    assert not clear_of_props(scene, 1.4, 6.2)
    assert clear_of_props(scene, 3.0, 6.0)
    assert clear_of_props(scene_with([]), 1.0, 6.0)


def test_every_kind_of_furniture_stands_on_the_ground():
    rng = np.random.default_rng(1)
    for what in (
        "planter",
        "bench",
        "bin",
        "lamp",
        "tree",
        "car",
        "bush",
        "sign",
        "railing",
        "bollard",
        "hoops",
        "box",
    ):
        rows = np.array(furniture(what, 2.0, 7.0, rng))
        assert rows.shape[1] == PROP_COLUMNS
        assert (rows[:, 3] - rows[:, 6]).min() < 0.2, what
