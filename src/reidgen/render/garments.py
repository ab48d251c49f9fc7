"""Clothes as geometry: shells of smoothed body faces pushed off the body, tubes that hang, and hems cut clean.

All at rest; `figure` bends the result with the body.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from reidgen.render import mesh as msh
from reidgen.render.body import LIMBS, BodyModel, RestBody
from reidgen.render.mesh import Mesh
from reidgen.render.wardrobe import SLOTS, Garment

Array = NDArray[np.float32]
TORSO, HEAD = LIMBS.index("torso"), LIMBS.index("head")
ARMS = {"L": LIMBS.index("arm.L"), "R": LIMBS.index("arm.R")}
LEGS = {"L": LIMBS.index("leg.L"), "R": LIMBS.index("leg.R")}
CHARTS = (TORSO, ARMS["L"], ARMS["R"], LEGS["L"], LEGS["R"])


@dataclass(frozen=True, eq=False)
class Tailor:
    """Measures of one body that the cuts are made from.

    Attributes:
        model, body: The body.
        soft: Vertices of the body without its fine relief (V, 3).
        normals: Of the soft body (V, 3).
        joints: Bone heads by name.
        along: For each vertex the share of its limb: 0 at shoulder or hip, 1 at wrist or ankle; torso and head 0.
        outward: Unit direction away from the limb's axis (V, 3).
        reach: Distance from the limb's axis, metres (V,).
        cloth: Pattern coordinates about the torso, each arm and each leg (V, 15), in the order of `CHARTS`.
    """

    model: BodyModel
    body: RestBody
    soft: Array
    normals: Array
    joints: dict[str, Array]
    along: Array
    outward: Array
    reach: Array
    cloth: Array

    @property
    def neck(self) -> float:
        """Height of the base of the neck."""
        return float(self.joints["neck01"][2])

    @property
    def waist(self) -> float:
        """Height at which trousers and skirts are worn."""
        return float(self.joints["spine05"][2] + 0.055)

    @property
    def crotch(self) -> float:
        """Height of the crotch."""
        legs = np.isin(self.model.limb, list(LEGS.values())) & (np.abs(self.soft[:, 0]) < 0.02)
        return float(self.soft[legs, 2].max()) if legs.any() else float(self.joints["upperleg02.L"][2])


def measure(model: BodyModel, body: RestBody) -> Tailor:
    """Take a body's measures."""
    vertices = len(body.vertices)
    soft = msh.smooth(body.vertices, msh.smoother(model.faces, vertices), 6)
    normals = msh.vertex_normals(soft, model.faces, msh.incidence(model.faces, vertices))
    joints = {name: body.heads[i] for name, i in model.bones.items()}
    axis = soft.copy()
    along = np.zeros(vertices, np.float32)
    middle = float(np.median(soft[model.limb == TORSO, 1]))
    torso = model.limb == TORSO
    cloth = [soft * np.array([1, -1, 1], np.float32) + np.array([0, middle, -joints["neck01"][2]], np.float32)]
    axis[torso, :2] = 0, middle
    for chain_of, limbs in ((("upperarm01", "lowerarm01", "wrist"), ARMS), (("upperleg01", "lowerleg01", "foot"), LEGS)):
        for side in "LR":
            foot, share, coordinates = _about_limb(soft, [joints[f"{b}.{side}"] for b in chain_of])
            mine = model.limb == limbs[side]
            axis[mine], along[mine] = foot[mine], share[mine]
            cloth.append(coordinates)
    away = soft - axis
    reach = np.linalg.norm(away, axis=1)
    return Tailor(model, body, soft, normals, joints, along, (away / np.maximum(reach, 1e-6)[:, None]).astype(np.float32),
                  reach.astype(np.float32), np.concatenate(cloth, 1).astype(np.float32))  # fmt: skip


def _about_limb(points: Array, chain: list[Array]) -> tuple[Array, Array, Array]:
    """Nearest points on the axis of a limb with three joints, share along it, and cloth coordinates, for all points."""
    lengths = [float(np.linalg.norm(chain[i + 1] - chain[i])) for i in (0, 1)]
    best, where, foot = np.full(len(points), np.inf), np.zeros(len(points)), np.zeros(points.shape)
    for i in (0, 1):
        direction = (chain[i + 1] - chain[i]) / lengths[i]
        t = np.clip((points - chain[i]) @ direction, -0.2 if i == 0 else 0, lengths[i] if i == 0 else lengths[1] + 0.2)
        at = chain[i] + t[:, None] * direction
        distance = np.linalg.norm(points - at, axis=1)
        closer = distance < best - 1e-6
        best = np.where(closer, distance, best)
        where = np.where(closer, t + (lengths[0] if i else 0), where)
        foot = np.where(closer[:, None], at, foot)
    away = points - foot
    down = (chain[2] - chain[0]) / np.linalg.norm(chain[2] - chain[0])
    side = np.cross([0.0, -1.0, 0.0], down)
    side *= np.sign(side[0]) / np.linalg.norm(side)
    front = np.cross(side, down)
    front *= -np.sign(front[1])
    cloth = np.stack([away @ side, away @ front, lengths[0] - where], 1)  # 0 at knee or elbow
    return foot, where / sum(lengths), cloth


def shell(tailor: Tailor, chosen: NDArray[np.bool_], offset: Array, slot: str, *, smoothing: int = 4) -> Mesh:
    """The faces whose vertices are all chosen, pushed out by `offset` metres (V,), in triangles of about a centimetre."""
    faces = tailor.model.faces[chosen[tailor.model.faces].all(1)]
    used, compact = np.unique(faces, return_inverse=True)
    faces = compact.reshape(faces.shape)
    points = msh.smooth(tailor.soft[used], msh.smoother(faces, len(used)), smoothing)
    normals = msh.vertex_normals(points, faces, msh.incidence(faces, len(used)))
    out = msh.build(points + normals * offset[used, None], faces, tailor.model.weights[used], slot=SLOTS.index(slot), cloth=tailor.cloth[used])
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
    """Three fields of folds, `stretch` times longer along the limb than around it, of the given height (V,) in metres."""
    fields = []
    for _ in range(3):
        total = np.zeros(len(mesh.vertices), np.float32)
        for _ in range(7):
            length = rng.uniform(0.06, 0.2)
            tilt = rng.normal(0, 0.5)
            direction = np.array([np.cos(tilt), np.cos(tilt), np.sin(tilt) + rng.normal(0, 1) / stretch]) * np.array([rng.choice((-1, 1)), rng.uniform(-1, 1), 1])
            wave = mesh.cloth @ (2 * np.pi / length * direction).astype(np.float32) + rng.uniform(0, 7)
            total += 0.6 - np.abs(np.sin(0.5 * wave))
        fields.append(total / 2.2 * amplitude)
    return replace(mesh, folds=np.stack(fields, 1).astype(np.float32))


def soft_max(a: Array, b: Array | float, width: float = 0.02) -> Array:
    """A maximum without a crease."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + width**2) - width * 0.5)


def profile(points: Array, heights: Array, centre: tuple[float, float], columns: int) -> Array:
    """Largest radius of points about a vertical axis, for each height and angle (0 is front, turning left): (heights, columns)."""
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


def borrowed_weights(tailor: Tailor, points: Array, *, limbs: tuple[int, ...], neighbours: int = 24) -> scipy.sparse.csr_matrix:
    """Skinning weights of the nearest body vertices, averaged."""
    rows = np.flatnonzero(np.isin(tailor.model.limb, limbs))
    distance, index = cKDTree(tailor.soft[rows]).query(points, neighbours)
    share = 1 / (distance + 0.02) ** 2
    share /= share.sum(1, keepdims=True)
    n = len(points)
    pick = scipy.sparse.csr_matrix((share.ravel().astype(np.float32), (np.repeat(np.arange(n), neighbours), rows[index].ravel())),
                                   shape=(n, len(tailor.soft)))  # fmt: skip
    out = (pick @ tailor.model.weights).tocsr()
    out.data[out.data < 0.01] = 0
    out.eliminate_zeros()
    return (scipy.sparse.diags((1 / np.asarray(out.sum(1)).ravel()).astype(np.float32)) @ out).tocsr()


def torso_axis(tailor: Tailor) -> tuple[float, float]:
    """Where the vertical axis of the torso stands."""
    return 0.0, float(np.median(tailor.soft[tailor.model.limb == TORSO, 1]))


def tube(tailor: Tailor, top: float, bottom: float, ease: float, slot: str, *, flare: float, cling: float, tight_hem: float = 0.0) -> Mesh:
    """Cloth around the trunk from a height down to another."""
    rows = max(5, round((top - bottom) / 0.022))
    heights = np.linspace(top, bottom, rows, dtype=np.float32)
    centre = torso_axis(tailor)
    trunk = np.isin(tailor.model.limb, (TORSO, LEGS["L"], LEGS["R"]))
    points = tailor.soft[trunk]
    grid = ring_hull(round_off(profile(points, heights, centre, 48)))
    step = (top - bottom) / (rows - 1)
    grid = hang(grid + ease, step, cling)
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    grid = grid + flare * down
    if tight_hem:
        grid -= tight_hem * np.exp(-(((1 - down) * (top - bottom) / 0.05) ** 2))
    points = ring_points(grid, heights, centre)
    cloth = points * np.array([1, -1, 1], np.float32) + np.array([0, centre[1], -tailor.neck], np.float32)
    weights = borrowed_weights(tailor, points, limbs=(TORSO, LEGS["L"], LEGS["R"]))
    return msh.build(points, msh.grid_faces(rows, 48, closed=True), weights, slot=SLOTS.index(slot), cloth=cloth)


def upper_shell(tailor: Tailor, garment: Garment, slot: str = "upper") -> tuple[Mesh, Array]:
    """Shoulders, chest and sleeves, and a field (V,) that is positive where the body is covered."""
    limb, along = tailor.model.limb, tailor.along
    arms = np.isin(limb, list(ARMS.values()))
    low = float(tailor.joints["spine02"][2]) - 0.02
    fit = np.where(arms, 0.75 * garment.ease, garment.ease).astype(np.float32)
    loose = np.clip(along / max(garment.sleeve, 0.2), 0, 1) * garment.flare
    hanging = soft_max(tailor.reach + fit, np.float32(0.048 if garment.ease > 0.02 else 0.03)) - tailor.reach
    offset = np.where(arms, np.where(along > 0.25, hanging, fit) + loose, fit).astype(np.float32)
    if garment.sleeve > 0.9:
        offset = np.where(arms & (along > 0.93), np.minimum(offset, 0.45 * garment.ease + 0.004), offset)
    opening = neck_field(tailor, garment.collar)
    chosen = (limb == TORSO) & (tailor.soft[:, 2] > low - 0.06) & (opening > -0.05) | arms & (along < garment.sleeve + 0.12)
    out = msh.subdivide(shell(tailor, chosen, offset.astype(np.float32), slot))
    return out, opening


def neck_field(tailor: Tailor, collar: str) -> Array:
    """Positive (metres) below the neckline of a collar, for each vertex of the body."""
    return _neck_field(tailor, tailor.soft, collar)


def _neck_field(tailor: Tailor, points: Array, collar: str) -> Array:
    tilt, lift = {"crew": (0.55, -0.012), "collar": (0.5, 0.0), "hood": (0.5, 0.0), "stand": (0.45, 0.01), "scoop": (0.85, -0.03)}[collar]
    base = tailor.joints["neck01"]
    line = base[2] + lift + tilt * (points[:, 1] - base[1])  # rises to the back
    return np.maximum(line - points[:, 2], np.abs(points[:, 0]) - 0.11).astype(np.float32)  # shoulders are always covered


def upper_garment(
    tailor: Tailor, garment: Garment, rng: np.random.Generator, slot: str = "upper", *, over: float = 0.0
) -> list[Mesh]:
    """A garment for the upper body, its hem and its collar; it hangs at least `over` metres off the hips."""
    join_at = float(tailor.joints["spine02"][2]) - 0.02
    bottom = hem_height(tailor, garment)
    tight = garment.ease * 0.6 if garment.cut in ("hoodie", "jacket") and garment.flare < 0 else 0.0
    waisted = {"dress": 0.3, "tank": 0.3, "longsleeve": 0.22}.get(garment.cut, float(rng.uniform(0.02, 0.14)))
    flare = max(garment.flare, 0) * 0.5 if garment.cut not in ("coat", "dress") else 0.0
    body = tube(tailor, join_at + 0.012, bottom, garment.ease + 0.001, slot, flare=max(flare, over - garment.ease), cling=waisted, tight_hem=tight)
    whole, _ = upper_shell(tailor, garment, slot)
    whole = _meet(whole, body.vertices[: Drape.columns], torso_axis(tailor), seam=float(tailor.joints["upperarm01.L"][0]))
    rest = whole.cloth[:, :3] * np.array([1, -1, 1], np.float32) + np.array([0, torso_axis(tailor)[1], tailor.neck], np.float32)
    seam = float(tailor.joints["upperarm01.L"][0]) * 0.97
    torso = np.minimum(_neck_field(tailor, rest, garment.collar), np.minimum(seam - np.abs(rest[:, 0]), whole.vertices[:, 2] - join_at))
    top = [panel(whole, torso, TORSO)]
    upper_arm, fore = (float(np.linalg.norm(tailor.joints[f"{b}.L"] - tailor.joints[f"{a}.L"]))
                       for a, b in (("upperarm01", "lowerarm01"), ("lowerarm01", "wrist")))  # fmt: skip
    for side, sign in (("L", 1), ("R", -1)):
        if garment.sleeve > 0.05:
            at = 3 * CHARTS.index(ARMS[side])
            cuff = garment.sleeve * (upper_arm + fore) - (upper_arm - whole.cloth[:, at + 2])
            top.append(panel(whole, np.minimum(sign * rest[:, 0] - seam, cuff), ARMS[side]))
    body = msh.subdivide(body)
    amplitude = 0.004 + 0.24 * garment.ease
    parts = [with_folds(part, _fold_height(part, amplitude, join_at - tailor.neck), rng) for part in [*top, body]]
    if garment.open_front > 0:
        parts = [_open(part, garment.open_front, tailor) for part in parts]
    return parts + collar_parts(tailor, garment, slot)


def _meet(mesh: Mesh, ring: Array, centre: tuple[float, float], *, seam: float) -> Mesh:
    """Draw the chest out to the first ring of the tube below it, so that no step shows."""
    offset = mesh.vertices[:, :2] - np.asarray(centre, np.float32)
    radius = np.linalg.norm(offset, axis=1)
    radii = np.linalg.norm(ring[:, :2] - np.asarray(centre, np.float32), axis=1)
    turn = np.arctan2(offset[:, 0], -offset[:, 1]) / (2 * np.pi) % 1
    target = np.interp(turn, np.arange(len(radii) + 1) / len(radii), np.r_[radii, radii[0]])
    share = np.clip(1 - (mesh.vertices[:, 2] - ring[0, 2]) / 0.13, 0, 1) * np.clip((seam + 0.03 - np.abs(mesh.vertices[:, 0])) / 0.04, 0, 1)
    grown = radius + share * share * (3 - 2 * share) * np.maximum(target - radius, 0)
    moved = mesh.vertices.copy()
    moved[:, :2] = np.asarray(centre, np.float32) + offset * (grown / np.maximum(radius, 1e-6))[:, None]
    return replace(mesh, vertices=moved.astype(np.float32))


def _fold_height(mesh: Mesh, amplitude: float, join_at: float) -> Array:
    """Folds fade out on the shoulders and deepen towards elbows and hem; none at the seams."""
    v = mesh.cloth[:, 2]
    if len(mesh.charts) and mesh.charts[0] != TORSO:
        return (amplitude * (0.5 + 0.9 * np.exp(-((v / 0.1) ** 2))) * np.clip((0.26 - v) / 0.06, 0, 1)).astype(np.float32)
    return (amplitude * np.clip((-v - 0.08) / 0.3, 0.0, 1.15) * np.clip(np.abs(v - join_at - 0.006) / 0.05, 0, 1)).astype(np.float32)


def _open(mesh: Mesh, gap: float, tailor: Tailor) -> Mesh:
    """Cut an open front, wider towards the hem."""
    centre = torso_axis(tailor)[1]
    down = np.clip(tailor.neck - mesh.vertices[:, 2], 0, 1)
    front = (mesh.vertices[:, 1] < centre) & (np.abs(mesh.vertices[:, 0]) < 0.2)
    if len(mesh.charts) and mesh.charts[0] != TORSO:
        return mesh
    field = np.where(front, np.abs(mesh.vertices[:, 0]) - gap * (0.45 + 1.1 * down), 1.0)
    return msh.clip(mesh, field.astype(np.float32))


def hem_height(tailor: Tailor, garment: Garment) -> float:
    """Height of an upper garment's hem: `hem` is the share of the way from the hip joint to the ankle."""
    hip, ankle = float(tailor.joints["upperleg01.L"][2]) + 0.06, float(tailor.joints["foot.L"][2])
    return hip - garment.hem * (hip - ankle) if garment.cut in ("coat", "dress") else hip - 0.42 * garment.hem * (hip - ankle)


def collar_parts(tailor: Tailor, garment: Garment, slot: str) -> list[Mesh]:
    """A collar around the neck, or a hood on the back."""
    if garment.collar not in ("collar", "stand", "hood"):
        return []
    base = tailor.joints["neck01"]
    if garment.collar == "hood":
        points, faces = msh.superellipsoid((0.125, 0.05, 0.075), power=2.6)
        points = points + np.array([0, base[1] + 0.062, base[2] - 0.018], np.float32)
        points[:, 1] -= 0.9 * np.abs(points[:, 0]) ** 1.3
        weights = msh.bound_to(tailor.model.bones, len(points), spine01=1.0)
        return [msh.build(points, faces, weights, slot=SLOTS.index(slot), cloth=points * np.array([1, -1, 1]) - np.array([0, 0, base[2]]))]
    near = (np.abs(tailor.soft[:, 2] - base[2] - 0.03) < 0.03) & (np.hypot(tailor.soft[:, 0], tailor.soft[:, 1] - base[1]) < 0.1)
    radius = float(np.median(np.hypot(tailor.soft[near, 0], tailor.soft[near, 1] - base[1]))) if near.any() else 0.06
    height = 0.035 if garment.collar == "collar" else 0.055
    rows = np.linspace(height, -0.035, 5)
    angle = np.arange(20) * 2 * np.pi / 20
    tilt = 0.5 * np.cos(angle)
    gap = 0.35 if garment.open_front > 0 else 0.0
    rings = [
        np.stack([(radius + 0.014 + 0.25 * max(-r, 0)) * np.sin(angle), base[1] - 0.005 - (radius + 0.014 + 0.25 * max(-r, 0)) * np.cos(angle),
                  base[2] + 0.012 + r - tilt * (radius + 0.01) - gap * 0.1 * (np.cos(angle) > 0.9)], 1) for r in rows
    ]  # fmt: skip
    points = np.concatenate(rings).astype(np.float32)
    weights = msh.bound_to(tailor.model.bones, len(points), spine01=0.6, neck01=0.4)
    cloth = points * np.array([1, -1, 1], np.float32) - np.array([0, 0, base[2]], np.float32)
    return [msh.build(points, msh.grid_faces(5, 20, closed=True), weights, slot=SLOTS.index(slot), cloth=cloth)]


def lower_garment(tailor: Tailor, garment: Garment, rng: np.random.Generator) -> list[Mesh]:
    """Trousers, shorts or leggings (a skirt hangs in the pose: see `drape`)."""
    limb, along, z = tailor.model.limb, tailor.along, tailor.soft[:, 2]
    legs = np.isin(limb, list(LEGS.values()))
    wide = np.clip((along - 0.12) / 0.4, 0, 1) * garment.flare
    target = {"trousers": 0.074, "jeans": 0.066, "wide": 0.085, "leggings": 0.0, "shorts": 0.085}.get(garment.cut, 0.0)
    ramp = np.clip((along - 0.1) / 0.25, 0, 1)
    fit = garment.ease * np.where(legs, 1.0, 0.8)
    if target:
        fit = (1 - ramp) * fit + ramp * (soft_max(tailor.reach + fit, np.float32(target)) - tailor.reach)
    foot = legs & (z < float(tailor.joints["foot.L"][2]) * 0.45)
    chosen = (legs & ~foot & (along < garment.hem + 0.1)) | ((limb == TORSO) & (z < tailor.waist + 0.05))
    part = shell(tailor, chosen, (fit + wide).astype(np.float32), "lower", smoothing=2 if garment.cut == "leggings" else 9)
    part = msh.subdivide(part)
    hip, ankle = float(tailor.joints["upperleg01.L"][2]), float(tailor.joints["foot.L"][2])
    hem = hip - garment.hem * (hip - ankle) - 0.02 * (garment.hem > 0.9)
    field = np.minimum(part.vertices[:, 2] - hem, tailor.waist - part.vertices[:, 2])
    amplitude = 0.0 if garment.cut == "leggings" else 0.004 + 0.2 * garment.ease + 0.06 * max(garment.flare, 0)
    pieces = [panel(part, np.minimum(field, sign * part.vertices[:, 0] + 1e-4), LEGS[side]) for side, sign in (("L", 1), ("R", -1))]
    return [with_folds(piece, amplitude * _leg_folds(tailor, piece.vertices), rng, stretch=1.6) for piece in pieces]


def _leg_folds(tailor: Tailor, points: Array) -> Array:
    """Folds gather at knee, ankle and groin; none at the seam between the legs."""
    height = points[:, 2]
    at = [float(tailor.joints[f"{b}.L"][2]) for b in ("upperleg01", "lowerleg01", "foot")]
    depth = 0.45 + 0.8 * np.exp(-(((height - at[0] + 0.1) / 0.09) ** 2)) + np.exp(-(((height - at[1]) / 0.09) ** 2)) + 1.1 * np.exp(-(((height - at[2]) / 0.1) ** 2))
    return (depth * np.clip(np.abs(points[:, 0]) / 0.03, 0, 1)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Drape:
    """Cloth below the waist that falls anew in every pose: a skirt, or the skirts of a coat or a dress.

    Attributes:
        heights: Of its rings at rest (rows,).
        centre: Axis.
        ease_top, ease, flare: Metres off the hips, off the legs, and wider at the hem.
        slot: Material.
        ripple: Folds (rows, columns), metres.
        neck: Height that cloth coordinates count from.
    """

    heights: Array
    centre: tuple[float, float]
    ease: float
    flare: float
    slot: str
    ripple: Array
    neck: float
    ease_top: float

    columns = 48

    def faces(self) -> NDArray[np.int64]:
        """Triangles of its rings."""
        return msh.grid_faces(len(self.heights), self.columns, closed=True)

    def fall(self, legs: Array) -> Array:
        """Vertices (rows * columns, 3) over posed legs (N, 3), both in the frame of the pelvis."""
        grid = ring_hull(round_off(profile(legs, self.heights, self.centre, self.columns), 1))
        grid = grid + self.ease_top + (self.ease - self.ease_top) * np.linspace(0, 2, len(grid), dtype=np.float32).clip(0, 1)[:, None]
        step = float(self.heights[0] - self.heights[1])
        grid = np.minimum(hang(grid, step, 0.12), grid[:3].max() + 0.2)  # cloth slips off a leg that swings far
        down = np.linspace(0, 1, len(self.heights), dtype=np.float32)[:, None]
        return ring_points(round_off(grid + self.flare * down + self.ripple * down, 1), self.heights, self.centre)


def drape(tailor: Tailor, garment: Garment, slot: str, rng: np.random.Generator, *, top: float, bottom: float, clear: float = 0.0) -> Drape:
    """Cut a drape from a height down to another, `clear` metres wider below than at its top."""
    rows = max(6, round((top - bottom) / 0.03))
    angle = np.arange(Drape.columns) * 2 * np.pi / Drape.columns
    waves = sum(np.cos(k * angle + rng.uniform(0, 7)) for k in rng.integers(5, 12, 3))
    depth = 0.004 + 0.12 * garment.flare
    return Drape(np.linspace(top, bottom, rows, dtype=np.float32), torso_axis(tailor), garment.ease + clear, garment.flare, slot,
                 np.broadcast_to((depth * waves).astype(np.float32), (rows, Drape.columns)), tailor.neck, garment.ease)  # fmt: skip


def shoes(tailor: Tailor, style: str) -> list[Mesh]:
    """Both shoes; a boot also has a shaft, a sandal leaves the foot bare."""
    ankle = float(tailor.joints["foot.L"][2])
    cut = {"sneaker": 0.95, "shoe": 0.8, "boot": 1.05, "sandal": 0.3}[style] * ankle
    parts = [_shoe(tailor, side, cut, 0.8 if style == "shoe" else 1.0) for side in "LR"]
    if style == "boot":
        legs = np.isin(tailor.model.limb, list(LEGS.values()))
        z = tailor.soft[:, 2]
        shaft = shell(tailor, legs & (z < 3.1 * ankle) & (z > 0.4 * ankle), np.full(len(z), 0.012, np.float32), "shoes", smoothing=6)
        shaft = replace(shaft, cloth=shaft.cloth[:, :3] * np.float32(0) + np.array([0, 0, 1], np.float32))
        parts.append(msh.clip(shaft, np.minimum(2.5 * ankle - shaft.vertices[:, 2], shaft.vertices[:, 2] - 0.7 * ankle)))
    return parts


def _shoe(tailor: Tailor, side: str, cut: float, slim: float) -> Mesh:
    """A shoe around the slices of a foot, from heel to toe."""
    model, points = tailor.model, tailor.body.vertices
    mine = (model.limb == LEGS[side]) & (points[:, 2] < tailor.joints["foot.L"][2] + 0.03)
    foot = points[mine & np.isin(model.part, [i for name, i in model.bones.items() if name.startswith(("foot", "toe"))])]
    toe, heel = foot[foot[:, 1].argmin()], foot[foot[:, 1].argmax()]
    forward = (toe - heel)[:2] / np.linalg.norm((toe - heel)[:2])
    across = np.array([-forward[1], forward[0]])
    s, w = (foot[:, :2] - heel[:2]) @ forward, (foot[:, :2] - heel[:2]) @ across
    stations = np.linspace(-0.01, float(s.max()) + 0.012, 13)
    near = [np.abs(s - np.clip(t, 0.012, s.max() - 0.012)) < 0.014 for t in stations]
    left, right, high = (np.array([f(v[n]) for n in near]) for f, v in ((np.min, w), (np.max, w), (np.max, foot[:, 2])))
    high = np.minimum(high + 0.01, np.interp(stations / stations[-1], [0, 0.3, 0.55, 1], [cut, cut, 0.075, 0.05]))
    middle, half, high = (np.convolve(np.pad(v, 1, mode="edge"), (0.25, 0.5, 0.25), "valid") for v in (0.5 * (left + right), 0.5 * (right - left) + 0.007 * slim, high))
    ends = np.ones(13)
    ends[[0, 1, -2, -1]] = 0.45, 0.86, 0.88, 0.5
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.7
    z = np.where(np.sin(angle) >= 0, np.abs(np.sin(angle)) ** 0.8, 0)
    lateral = middle[:, None] + (half * ends)[:, None] * x
    height = np.where(np.sin(angle) < -0.1, -0.014, np.maximum(high * np.sqrt(ends), 0.02)[:, None] * z - 0.002)
    ground = heel[:2] + stations[:, None, None] * forward + lateral[..., None] * across
    rings = np.concatenate([ground, height[..., None]], -1)
    rings = np.concatenate([rings[:1].mean(1, keepdims=True).repeat(16, 1), rings, rings[-1:].mean(1, keepdims=True).repeat(16, 1)])
    vertices = rings.reshape(-1, 3).astype(np.float32)
    cloth = np.stack([vertices[:, 0], np.repeat(np.r_[0, stations, stations[-1]] / stations[-1], 16), vertices[:, 2] + 0.014], 1)
    weights = borrowed_weights(tailor, vertices, limbs=(LEGS[side],), neighbours=12)
    return msh.build(vertices, msh.grid_faces(15, 16, closed=True), weights, slot=SLOTS.index("shoes"), cloth=cloth)
