"""How a person stands or walks: joint angles of a gait cycle and of the usual ways to stand about.

The walking curves are sums of periodic bumps fitted by eye to the textbook joint angles of level walking
(hip, knee and ankle in the sagittal plane, e.g. Winter 2009, Biomechanics and Motor Control of Human Movement, ch. 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from reidgen.render.bodies.body import rotation_matrix

Array = NDArray[np.floating[Any]]
ARM_STYLES = ("swing", "phone", "call", "pockets", "strap", "carry")


@dataclass(frozen=True)
class Pose:
    """A pose as angles in degrees, free of any body.

    Attributes:
        name: "walk" or "stand".
        hip, knee, ankle: Flexion (left, right).
        spread: Abduction of the legs (left, right).
        toe_out: Outward turn of the legs (left, right).
        shoulder, abduction, elbow, inward: Flexion and abduction of the upper arm, flexion of the elbow, and turn of
            the bent forearm across the body (left, right).
        lean, twist, sway: Of the trunk: forward, about the vertical axis, to the side.
        nod, look: Of the head: down, to the left.
    """

    name: str
    hip: tuple[float, float]
    knee: tuple[float, float]
    ankle: tuple[float, float]
    spread: tuple[float, float]
    toe_out: tuple[float, float]
    shoulder: tuple[float, float]
    abduction: tuple[float, float]
    elbow: tuple[float, float]
    inward: tuple[float, float]
    lean: float
    twist: float
    sway: float
    nod: float
    look: float


def bump(phase: float, at: float, width: float) -> float:
    """A bell of height one at phase `at` on a circle of circumference one."""
    distance = (phase - at + 0.5) % 1 - 0.5
    return float(np.exp(-0.5 * (distance / width) ** 2))


def gait(phase: float, stride: float) -> tuple[float, float, float]:
    """Hip, knee and ankle flexion in degrees at a phase of the gait cycle (0 is heel strike), for a relative stride."""
    hip = 7 + 23 * stride * np.cos(2 * np.pi * (phase - 0.02))
    knee = 6 + stride * (12 * bump(phase, 0.14, 0.07) + 54 * bump(phase, 0.72, 0.1))
    ankle = stride * (9 * bump(phase, 0.42, 0.12) - 20 * bump(phase, 0.63, 0.07) - 5 * bump(phase, 0.06, 0.04))
    return float(hip), float(knee), float(ankle)


def sample_pose(rng: np.random.Generator, carry: tuple[str, str] = ("", "")) -> Pose:
    """A random pose; `carry` names what the left and right hand hold ("bag" hangs, "" is free)."""
    walking = rng.random() < 0.78
    stride = float(rng.uniform(0.75, 1.2)) if walking else 0.0
    phase = float(rng.random())
    arms = [_arm(rng, (phase + 0.5 * side) % 1, stride, carry[side]) for side in (0, 1)]
    if not walking and rng.random() < 0.25 and carry == ("", ""):
        arms = [arm_style(rng, "phone"), arm_style(rng, "phone")]
    legs = [gait((phase + 0.5 * side) % 1, stride) if walking else _standing_leg(rng) for side in (0, 1)]
    phoning = max(a[2] for a in arms) > 80
    shoulder, abduction, elbow, inward = _by_joint(arms)
    hip, knee, ankle = _by_joint(legs)
    return Pose(
        name="walk" if walking else "stand",
        hip=hip,
        knee=knee,
        ankle=ankle,
        spread=_pair(rng, 0.0 if walking else 2.5, 1.5),
        toe_out=_pair(rng, 6, 4),
        shoulder=shoulder,
        abduction=abduction,
        elbow=elbow,
        inward=inward,
        lean=float(rng.normal(4 if walking else 1, 2.5)),
        twist=float(-6 * stride * np.cos(2 * np.pi * phase) + rng.normal(0, 3)),
        sway=float(rng.normal(0, 1.5)),
        nod=float(rng.normal(14 if phoning else 5, 7)),
        look=float(rng.normal(0, 16)),
    )


def _by_joint(limbs: Sequence[tuple[float, ...]]) -> list[tuple[float, float]]:
    """Angles of the left and right limb, joint by joint."""
    left, right = limbs
    return [(float(a), float(b)) for a, b in zip(left, right, strict=True)]


def _pair(rng: np.random.Generator, mean: float, spread: float) -> tuple[float, float]:
    return float(rng.normal(mean, spread)), float(rng.normal(mean, spread))


def _standing_leg(rng: np.random.Generator) -> tuple[float, float, float]:
    relaxed = max(0.0, rng.normal(2, 6))
    return float(relaxed + rng.normal(0, 3)), float(2 * relaxed), float(relaxed * 0.8)


def _arm(rng: np.random.Generator, phase: float, stride: float, held: str) -> tuple[float, float, float, float]:
    if held == "bag":
        return arm_style(rng, "carry", phase, stride)
    weights = (0.83, 0.05, 0.02, 0.06, 0.04) if stride else (0.6, 0.12, 0.04, 0.17, 0.07)
    style = ("swing", "phone", "call", "pockets", "strap")[int(rng.choice(5, p=weights))]
    return arm_style(rng, style, phase, stride)


def arm_style(
    rng: np.random.Generator, style: str, phase: float = 0.0, stride: float = 0.0
) -> tuple[float, float, float, float]:
    """Shoulder flexion, abduction, elbow flexion and inward turn in degrees of one arm in one of `ARM_STYLES`."""
    jitter = rng.normal(0, 1, 4)
    swing = -21 * stride * np.cos(2 * np.pi * phase)  # against the leg of the same side
    shoulder, abduction, elbow, inward = {
        "swing": (2 + swing, 3, 15 + max(0.0, swing) * 0.9, 20),
        "phone": (24, 10, 98, 30),
        "call": (42, 34, 132, 18),
        "pockets": (-14, 17, 42, 8),
        "strap": (26, 16, 128, 22),
        "carry": (2 + 0.3 * swing, 7, 10, 5),
    }[style]
    return (
        float(shoulder + 4 * jitter[0]),
        float(abduction + 2 * jitter[1]),
        float(max(elbow + 6 * jitter[2], 4)),
        float(inward + 5 * jitter[3]),
    )


def joint_rotations(pose: Pose, heads: Array, bones: dict[str, int]) -> dict[str, Array]:
    """Rotation vectors in radians about the rest axes for `body.pose_bones`.

    Args:
        pose: Angles.
        heads: Bone heads at rest (bones, 3): the rest pose is an A with bent elbows, so arms are turned from there.
        bones: Index of each bone.
    """
    out: dict[str, Array] = {}

    def put(bone: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        out[bone] = np.radians([x, y, z]).astype(np.float32)

    for bone, share in (("spine04", 0.3), ("spine03", 0.35), ("spine02", 0.35)):
        put(bone, pose.lean * share, pose.sway * share, pose.twist * 1.6 * share)
    put("root", pose.lean * 0.3, 0, -0.6 * pose.twist)
    for bone in ("neck01", "neck03"):
        put(bone, pose.nod * 0.4 - pose.lean * 0.4, 0, pose.look * 0.35)
    put("head", pose.nod * 0.4, 0, pose.look * 0.3)
    for side, (letter, sign) in enumerate((("L", 1.0), ("R", -1.0))):
        _leg(out, pose, side, letter, sign)
        _arm_rotations(out, pose, heads, bones, side, letter, sign)
    return out


def _leg(out: dict[str, Array], pose: Pose, side: int, letter: str, sign: float) -> None:
    hip, knee, ankle = pose.hip[side], pose.knee[side], pose.ankle[side]
    straighten = 4.5  # the rest pose stands with the legs apart
    out[f"upperleg01.{letter}"] = np.radians([-hip, sign * (straighten - pose.spread[side]), 0]).astype(np.float32)
    out[f"upperleg02.{letter}"] = np.radians([0, 0, sign * pose.toe_out[side]]).astype(np.float32)
    out[f"lowerleg01.{letter}"] = np.radians([knee, 0, 0]).astype(np.float32)
    out[f"foot.{letter}"] = np.radians([-ankle, 0, 0]).astype(np.float32)


def _arm_rotations(
    out: dict[str, Array], pose: Pose, heads: Array, bones: dict[str, int], side: int, letter: str, sign: float
) -> None:
    shoulder, elbow, wrist = (heads[bones[f"{b}.{letter}"]] for b in ("upperarm01", "lowerarm01", "wrist"))
    upper, fore = _unit(elbow - shoulder), _unit(wrist - elbow)
    rest_abduction = np.degrees(np.arctan2(abs(upper[0]), -upper[2]))
    down = sign * (rest_abduction - pose.abduction[side])
    clavicle = 0.2 * down
    lower = rotation_matrix(np.array([0, np.radians(down - clavicle), 0]))
    raise_ = rotation_matrix(np.radians([-pose.shoulder[side], 0, 0]))
    out[f"shoulder01.{letter}"] = np.radians([0, clavicle, 0]).astype(np.float32)
    out[f"upperarm01.{letter}"] = _vector(raise_ @ lower)
    out[f"upperarm02.{letter}"] = (upper * sign * np.radians(pose.inward[side] + 4)).astype(np.float32)
    _curl_fingers(out, heads, bones, letter)
    axis = _unit(np.cross(upper, fore))
    flexion = np.radians(pose.elbow[side]) - np.arccos(np.clip(upper @ fore, -1, 1))
    out[f"lowerarm01.{letter}"] = (axis * flexion).astype(np.float32)


def _curl_fingers(
    out: dict[str, Array], heads: Array, bones: dict[str, int], letter: str, degrees: float = 28.0
) -> None:
    wrist, first, last = (heads[bones[f"{b}.{letter}"]] for b in ("wrist", "finger2-1", "finger5-1"))
    palm = _unit(np.cross(first - wrist, last - wrist)) * (1 if letter == "L" else -1)
    for finger in range(2, 6):
        joints = [heads[bones[f"finger{finger}-{i}.{letter}"]] for i in (1, 2, 3)]
        axis = _unit(np.cross(joints[1] - joints[0], palm))
        for i in (1, 2, 3):
            out[f"finger{finger}-{i}.{letter}"] = (axis * np.radians(degrees)).astype(np.float32)


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)


def _vector(matrix: Array) -> Array:
    return Rotation.from_matrix(matrix).as_rotvec().astype(np.float32)
