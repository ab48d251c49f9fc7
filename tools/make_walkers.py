#!/usr/bin/env python3
"""Write how people's key points lie in space: `src/reidgen/assets/pose/walkers.safetensors` (extra: render).

Mean and covariance of COCO's 17 points over bodies and poses that the renderer draws, 78 % walking, the others
standing; without clothes. Axes are the person's left, its back, and up; the unit is the standard deviation of the
heights.

    python tools/make_walkers.py --out src/reidgen/assets/pose/walkers.safetensors
"""

import argparse

import numpy as np
from safetensors.numpy import save_file

from reidgen.render.bodies.body import body_model, pose_bones, skin
from reidgen.render.bodies.poses import joint_rotations, sample_pose
from reidgen.render.bodies.wardrobe import sample_outfit

PEOPLE, POSES, SEED = 150, 12, 7


def sampled(person: int) -> np.ndarray:
    """Points of a person in some poses, (POSES, 17, 3) in metres."""
    model, rng = body_model(), np.random.default_rng([SEED, person])
    body = model.rest(sample_outfit(rng).phenotype)
    used = np.unique(model.keypoints.indices)
    out = []
    for _ in range(POSES):
        bones = pose_bones(model, body.heads, joint_rotations(sample_pose(rng), body.heads, model.bones))
        out.append(model.keypoints[:, used] @ skin(body.vertices[used], model.weights[used], bones))
    return np.stack(out)


def main() -> None:
    """Draw, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    points = np.concatenate([sampled(person) for person in range(PEOPLE)]).astype(np.float64)
    points -= points.mean(axis=1, keepdims=True)
    points /= points[..., 2].std(axis=1).mean()
    flat = points.reshape(len(points), -1)
    state = {"mean": points.mean(axis=0), "spread": np.cov(flat.T, bias=True)}
    save_file({name: value.astype(np.float32) for name, value in state.items()}, parser.parse_args().out)


if __name__ == "__main__":
    main()
