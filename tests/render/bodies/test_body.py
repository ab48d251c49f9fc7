import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
from scipy.spatial.transform import Rotation

from reidgen.errors import ConfigError, MissingExtraError
from reidgen.render.bodies.body import load_anny, pose_bones, rotation_matrix, skin

ARM = SimpleNamespace(bones={"root": 0, "upper": 1, "lower": 2}, parents=np.array([-1, 0, 1]))
HEADS = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2]], np.float32)


def test_rotation_matrix_against_scipy():
    for seed in range(20):
        vector = np.random.default_rng(seed).normal(0, 1.5, 3)
        assert rotation_matrix(vector) == pytest.approx(Rotation.from_rotvec(vector).as_matrix(), abs=1e-9)
    assert rotation_matrix(np.zeros(3)) == pytest.approx(np.eye(3))


def test_a_chain_of_bones_by_hand():
    quarter = np.array([np.pi / 2, 0, 0])  # about x: z goes to -y
    bones = pose_bones(ARM, HEADS, {"upper": quarter, "lower": quarter})
    tip = bones[2] @ np.array([0, 0, 3, 1])
    assert tip[:3] == pytest.approx([0, -1, 0], abs=1e-6)  # 1 up, 1 to -y, 1 down again
    assert bones[0] == pytest.approx(np.eye(4))


def test_skinning_blends_linearly():
    bones = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    bones[1, :3, 3] = [2, 0, 0]
    weights = scipy.sparse.csr_matrix(np.array([[1, 0], [0.5, 0.5], [0, 1]], np.float32))
    assert skin(np.zeros((3, 3), np.float32), weights, bones)[:, 0].tolist() == [0, 1, 2]


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "anny", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'reidgen\[render\]'"):
        load_anny()


def test_a_package_that_is_there_and_broken_is_told(monkeypatch, tmp_path):
    (tmp_path / "anny.py").write_text("raise ImportError('no symbol x')")
    monkeypatch.setitem(sys.modules, "warp", SimpleNamespace(config=SimpleNamespace()))
    monkeypatch.delitem(sys.modules, "anny", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="package anny, which is installed and cannot be imported") as error:
        load_anny()
    assert error.value.got == "ImportError: no symbol x"
