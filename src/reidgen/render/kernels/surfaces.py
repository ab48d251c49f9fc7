# mypy: ignore-errors
# ruff: noqa: UP018, SIM102
# warp compiles these functions from their source: they are Python in form only, and their types are warp's
"""What things are made of: colours of skin, cloth, ground, walls and props as functions of place. Imports warp.

A material of a person is a row of `COLUMNS` numbers, written by `Material.row`; cloth coordinates are metres at rest
about the axis of the limb (a to the person's left, b to the front, v along it), so a pattern sticks to the cloth.
"""

import warp as wp

wp.config.quiet = True  # before warp starts: a worker's stdout carries results alone
vec3 = wp.vec3f


@wp.func
def hash21(x: float, y: float) -> float:
    """A number in [0, 1) that looks random."""
    a = wp.frac(x * 0.1031)
    b = wp.frac(y * 0.1030)
    d = a * (b + 33.33) + b * (a + 33.33) + a * (a + 33.33)
    return wp.frac((a + b + 2.0 * d) * (a + 0.37 * b + d) * 13.57)


@wp.func
def noise2(x: float, y: float, seed: int) -> float:
    """Gradient noise of the plane, about -0.7 to 0.7."""
    return wp.noise(wp.rand_init(seed), wp.vec2f(x, y))


@wp.func
def cell_edge(x: float, width: float) -> float:
    """1 on the lines between cells of length 1, of the given relative width."""
    f = wp.frac(x)
    if f < width or f > 1.0 - width:
        return 1.0
    return 0.0


@wp.func
def colour_at(materials: wp.array2d(dtype=float), slot: int, at: int) -> vec3:
    """Three numbers of a row."""
    return vec3(materials[slot, at], materials[slot, at + 1], materials[slot, at + 2])


@wp.func
def pattern(materials: wp.array2d(dtype=float), slot: int, u: float, v: float) -> vec3:
    """Colour of the cloth at (u, v) metres around and along."""
    a = colour_at(materials, slot, 1)
    b = colour_at(materials, slot, 4)
    c = colour_at(materials, slot, 7)
    size = materials[slot, 10]
    duty = materials[slot, 11]
    kind = int(materials[slot, 0])
    seed = int(materials[slot, 28])
    if kind == 1:
        return b if wp.frac(v / size + 100.0) < duty else a
    if kind == 2:
        return b if wp.frac(u / size + 100.0) < duty else a
    if kind == 3:
        weight = float(0.0)
        if wp.frac(v / size + 100.0) < duty:
            weight += 0.5
        if wp.frac(u / size + 100.0) < duty:
            weight += 0.5
        out = wp.lerp(a, b, weight)
        if wp.frac(v / size + 100.4) < 0.09 or wp.frac(u / size + 100.4) < 0.09:
            out = wp.lerp(out, c, 0.7)
        return out
    if kind == 4:
        row = wp.floor(v / size)
        x = wp.frac(u / size + 0.5 * (row - 2.0 * wp.floor(row * 0.5)) + 100.0) - 0.5
        y = wp.frac(v / size + 100.0) - 0.5
        return b if x * x + y * y < 0.25 * duty else a
    if kind == 5:
        f = noise2(u / size, v / size, seed)
        g = noise2(u / size * 1.3 + 9.0, v / size * 1.3, seed + 1)
        out = a
        if f > 0.12:
            out = b
        if g > 0.24:
            out = c
        return out
    if kind == 6:
        return b if v < duty else a
    if kind == 7:
        weave = noise2(u * 90.0, v * 30.0, seed)
        fade = noise2(u * 7.0, v * 4.0, seed + 2)
        return a * (1.0 + 0.22 * weave + 0.3 * duty * fade)
    if kind == 8:
        weave = noise2(u * 42.0, v * 42.0, seed)
        return wp.lerp(a, b, 0.3 * wp.clamp(0.35 + 1.1 * weave, 0.0, 1.0))
    if kind == 9:
        out = a
        if v > duty - size and v < duty + size:
            out = b
        if v > duty - 0.25 * size and v < duty + 0.25 * size:
            out = c
        return out
    if kind == 10:
        x = wp.frac((u + v) / size + 100.0)
        y = wp.frac((u - v) / size + 100.0)
        return b if (x < 0.5) == (y < 0.5) else a
    return a


@wp.func
def print_mask(kind: int, x: float, y: float, seed: int) -> float:
    """A print on the chest in the unit square [-1, 1]^2: 1 where it is inked, 2 where with the second colour."""
    if wp.abs(x) > 1.0 or wp.abs(y) > 1.0:
        return 0.0
    if kind == 1:  # a word: blocks of different widths
        k = wp.floor((x + 1.0) * 3.5)
        f = wp.frac((x + 1.0) * 3.5)
        if f > 0.8:
            return 0.0
        bar = hash21(k + float(seed % 97), wp.floor((y + 1.0) * 2.5))
        return 1.0 if bar > 0.3 else 0.0
    if kind == 2:  # a round badge
        r = x * x + y * y
        if r > 1.0:
            return 0.0
        return 2.0 if r < 0.35 and x + 0.4 * y > -0.1 else 1.0
    if kind == 3:  # lines of text
        line = wp.floor((y + 1.0) * 2.5)
        if wp.frac((y + 1.0) * 2.5) > 0.55:
            return 0.0
        return 1.0 if wp.abs(x) < 0.4 + 0.6 * hash21(line, float(seed % 89)) else 0.0
    if kind == 4:  # a picture
        f = noise2(x * 2.2, y * 2.2, seed)
        return 1.0 if f > 0.05 else 2.0 if f < -0.12 else 0.0
    return 1.0


@wp.func
def garment(materials: wp.array2d(dtype=float), slot: int, chart: int, c: vec3) -> vec3:
    """Cloth with its prints, seams, straps and bands."""
    angle = wp.atan2(c[0], c[1])  # 0 in front
    round = 0.15 if chart == 0 else 0.075
    u = angle * round
    out = pattern(materials, slot, u, c[2])
    second = colour_at(materials, slot, 4)
    third = colour_at(materials, slot, 7)
    seed = int(materials[slot, 28])
    if chart != 0 and materials[slot, 19] > 0.5:
        out = third
    if chart == 0 and c[2] > materials[slot, 20]:
        out = third
    if chart != 0 and materials[slot, 26] > 0.0 and wp.abs(wp.abs(angle) - 1.5708) * round < materials[slot, 26]:
        out = third
    if chart == 0:
        kind = int(materials[slot, 14])
        front = c[1] > 0.0
        if materials[slot, 30] > 0.5:
            front = c[1] < 0.0
        if kind > 0 and front:
            x = (c[0] - materials[slot, 15]) / materials[slot, 17]
            y = (c[2] - materials[slot, 16]) / materials[slot, 18]
            ink = print_mask(kind, x, y, seed)
            if ink > 1.5:
                out = third
            elif ink > 0.5:
                out = second
        if materials[slot, 25] > 0.0 and c[1] > 0.0 and wp.abs(c[0]) < 0.009:
            out = out * (1.0 - materials[slot, 25])
            if materials[slot, 25] > 0.5 and wp.frac(c[2] / 0.09 + 20.0) < 0.16:
                out = vec3(0.6, 0.6, 0.58)
    if materials[slot, 27] > 0.0:  # washed out on the thighs
        out = out * (
            1.0
            + materials[slot, 27]
            * wp.exp(-wp.pow((angle - 0.0) * 1.6, 2.0))
            * wp.exp(-wp.pow((c[2] - 0.22) * 6.0, 2.0))
        )
        if wp.abs(wp.abs(angle) - 1.57) < 0.05:
            out = out * 0.8
    strap = int(materials[slot, 21])
    if (
        chart == 0
        and strap == 1
        and c[1] > -0.02
        and wp.abs(wp.abs(c[0]) - 0.105) < 0.024
        and c[2] > materials[slot, 29]
    ):
        out = colour_at(materials, slot, 22)
    if chart == 0 and strap == 3 and wp.abs(c[0] * materials[slot, 31] - 0.115) < 0.018 and c[2] > materials[slot, 29]:
        out = colour_at(materials, slot, 22)
    if chart == 0 and strap == 2:
        if wp.abs(c[0] * materials[slot, 31] + (c[2] - materials[slot, 29]) * 0.62) < 0.022:
            out = colour_at(materials, slot, 22)
    fine = noise2(u * 70.0, c[2] * 70.0, seed + 5)
    return out * (1.0 + materials[slot, 12] * fine)


@wp.func
def face(materials: wp.array2d(dtype=float), slot: int, c: vec3) -> vec3:
    """Skin of the head: eyes, brows, lips, beard, glasses, mask. Columns 15, 16: half eye distance, eye height."""
    skin = colour_at(materials, slot, 1)
    hair = colour_at(materials, slot, 4)
    out = skin * (1.0 + 0.08 * noise2(c[0] * 40.0, c[2] * 40.0, int(materials[slot, 28])))
    x = wp.abs(c[0])
    z = c[2] - materials[slot, 16]
    front = c[1] > 0.02
    beard = materials[slot, 11]
    if not front:
        return out
    eye = x - materials[slot, 15]
    if eye * eye / (0.017 * 0.017) + z * z / (0.009 * 0.009) < 1.0:
        out = vec3(0.09, 0.07, 0.06)
    if wp.abs(eye) < 0.024 and wp.abs(z - 0.024) < 0.0055:
        out = wp.lerp(out, hair, 0.85)
    if x < 0.028 and wp.abs(z + 0.083) < 0.009:
        out = wp.cw_mul(skin, vec3(0.85, 0.55, 0.55))
    if beard > 0.0 and z < -0.05 and z > -0.14 and (x > 0.03 or z < -0.066):
        out = wp.lerp(out, hair, beard)
    if materials[slot, 13] > 1.5 and z < -0.028 and z > -0.135:
        out = colour_at(materials, slot, 7)
    if materials[slot, 14] > 0.5:
        lens = wp.sqrt(eye * eye + 1.6 * z * z)
        bridge = x < 0.014 and wp.abs(z - 0.006) < 0.004
        if bridge or (lens > 0.021 and lens < 0.0265) or (materials[slot, 14] > 1.5 and lens < 0.0265):
            out = vec3(0.03, 0.03, 0.035)
    return out


@wp.func
def albedo_person(materials: wp.array2d(dtype=float), slot: int, chart: int, c: vec3) -> wp.vec4f:
    """Albedo and gloss of a point on a person."""
    out = colour_at(materials, slot, 1)
    gloss = materials[slot, 13]
    kind = int(materials[slot, 0])
    if kind == 20:
        out = face(materials, slot, c)
        gloss = 0.03
    elif kind == 21:
        strand = noise2(wp.atan2(c[0], c[1]) * 26.0, c[2] * 16.0, int(materials[slot, 28]))
        out = out * (1.0 + 0.75 * strand)
    elif kind == 22:  # shoe: upper, sole, front cap or band
        if c[2] < materials[slot, 10]:
            out = colour_at(materials, slot, 4)
        elif c[1] > materials[slot, 11]:
            out = colour_at(materials, slot, 7)
    elif kind == 23:  # bag: two tones by height, a pocket
        if c[2] < materials[slot, 10]:
            out = colour_at(materials, slot, 4)
        if wp.abs(c[2] - materials[slot, 10]) < 0.012:
            out = out * 0.45
    else:
        out = garment(materials, slot, chart, c)
    return wp.vec4f(wp.clamp(out[0], 0.004, 0.92), wp.clamp(out[1], 0.004, 0.92), wp.clamp(out[2], 0.004, 0.92), gloss)


@wp.func
def bricks(x: float, y: float, width: float, height: float, joint: float) -> wp.vec2f:
    """Running bond: (tone of the stone in [0, 1), 1 on the joints)."""
    row = wp.floor(y / height)
    shift = 0.5 * (row - 2.0 * wp.floor(row * 0.5))
    at = x / width + shift
    edge = wp.max(cell_edge(at, 0.5 * joint / width), cell_edge(y / height, 0.5 * joint / height))
    return wp.vec2f(hash21(wp.floor(at), row), edge)


@wp.func
def ground_albedo(kind: int, size: float, angle: float, a: vec3, b: vec3, p: vec3, distance: float) -> vec3:
    """Colour of the ground: 0 concrete, 1 slabs, 2 setts, 3 asphalt, 4 grass, 5 planks, 6 tiles, 7 zebra, 8 gravel."""
    x = p[0] * wp.cos(angle) + p[1] * wp.sin(angle)
    y = p[1] * wp.cos(angle) - p[0] * wp.sin(angle)
    broad = noise2(x * 0.7, y * 0.7, 3) * 0.35 + noise2(x * 3.1, y * 3.1, 4) * 0.25
    fine = noise2(x * 33.0, y * 33.0, 5)
    out = a * (1.0 + 0.45 * broad + 0.16 * fine)
    if kind == 1:
        s = bricks(x, y, size, size, 0.014 + 0.0012 * distance)
        out = wp.lerp(out * (0.88 + 0.24 * s[0]), b * 0.6, 0.75 * s[1])
    elif kind == 2:
        s = bricks(x + 0.02 * fine, y, 0.2 * size, 0.11 * size, 0.015)
        out = wp.lerp(wp.lerp(a, b, s[0]) * (0.85 + 0.3 * fine), a * 0.4, 0.7 * s[1])
    elif kind == 3:
        out = a * (1.0 + 0.3 * broad + 0.5 * fine)
        if wp.abs(wp.frac(y / (3.5 * size)) - 0.5) < 0.016:
            out = wp.lerp(out, vec3(0.62, 0.6, 0.52), 0.75)
    elif kind == 4:
        blade = noise2(x * 55.0, y * 38.0, 6)
        out = wp.lerp(a, b, wp.clamp(0.5 + 0.9 * broad + 0.5 * blade, 0.0, 1.0)) * (1.0 + 0.45 * blade)
    elif kind == 5:
        row = wp.floor(y / (0.14 * size))
        out = wp.lerp(a, b, hash21(row, 3.0)) * (1.0 + 0.15 * noise2(x * 5.0, y * 60.0, 7))
        out = wp.lerp(out, out * 0.35, cell_edge(y / (0.14 * size), 0.07))
    elif kind == 6:
        i = wp.floor(x / size)
        j = wp.floor(y / size)
        k = i + j
        out = (wp.lerp(a, b, 0.6) if k - 2.0 * wp.floor(0.5 * k) > 0.5 else a) * (
            0.92 + 0.14 * hash21(i, j) + 0.1 * broad
        )
        out = wp.lerp(out, out * 0.55, wp.max(cell_edge(x / size, 0.018), cell_edge(y / size, 0.018)))
    elif kind == 7:
        if wp.frac(x / (0.6 + 0.6 * size)) < 0.5:
            out = wp.lerp(out, vec3(0.68, 0.68, 0.66), 0.85 + 0.4 * fine)
    elif kind == 8:
        out = a * (1.0 + 0.2 * broad) * (0.75 + 0.5 * hash21(wp.floor(x * 45.0), wp.floor(y * 45.0)))
    return out


@wp.func
def wall_albedo(walls: wp.array2d(dtype=float), i: int, u: float, z: float, d: vec3) -> vec3:
    """Colour of a wall. Row: ..., kinds of its bays (5, 6), bay width (7), colours a, b, c (8, 11, 14), seed (17)."""
    seed = walls[i, 17]
    bay = wp.floor(u / walls[i, 7])
    x = u - (bay + 0.5) * walls[i, 7]
    pick = hash21(bay + seed, 1.7)
    kind = int(walls[i, 5])
    if pick > 0.5:
        kind = int(walls[i, 6])
    a = vec3(walls[i, 8], walls[i, 9], walls[i, 10])
    b = vec3(walls[i, 11], walls[i, 12], walls[i, 13])
    c = vec3(walls[i, 14], walls[i, 15], walls[i, 16])
    half = 0.5 * walls[i, 7]
    broad = noise2(u * 0.9, z * 0.9, int(seed)) + 0.5 * noise2(u * 4.0, z * 4.0, int(seed) + 1)
    out = a * (1.0 + 0.18 * broad)
    if kind == 1:  # brick
        s = bricks(u, z, 0.24, 0.08, 0.012)
        out = wp.lerp(wp.lerp(a, b, s[0] * 0.6) * (1.0 + 0.15 * broad), vec3(0.42, 0.4, 0.37), 0.7 * s[1])
    elif kind == 2:  # shop window: frame, stall riser, goods behind glass, sign
        goods = hash21(wp.floor(u * 2.7) + seed, wp.floor(z * 2.2))
        tint = vec3(hash21(goods * 71.0, 1.0), hash21(goods * 71.0, 2.0), hash21(goods * 71.0, 3.0))
        deep = wp.lerp(vec3(0.03, 0.03, 0.035), wp.lerp(tint, c, 0.4), 0.55 * goods)
        if noise2(u * 3.0, z * 3.0, int(seed) + 3) > 0.1:
            deep = vec3(0.05, 0.05, 0.055)
        out = deep + vec3(0.05, 0.055, 0.06) * (1.0 + broad)
        if z < 0.45 or wp.abs(x) > half - 0.09 or wp.abs(wp.abs(x) - 0.33 * half) < 0.03:
            out = a
        if z > 2.35:
            out = c
            if z > 2.5 and z < 2.8 and wp.frac(u * 2.4) < 0.7 and hash21(wp.floor(u * 2.4), seed) > 0.25:
                out = b
    elif kind == 3:  # corrugated sheet
        out = a * (0.8 + 0.3 * wp.abs(wp.sin(u * 3.14159 / 0.1))) * (1.0 + 0.1 * broad)
    elif kind == 4:  # hedge
        leaf = noise2(u * 15.0, z * 15.0, int(seed)) + 0.6 * noise2(u * 36.0, z * 36.0, 9)
        out = vec3(0.07, 0.13, 0.035) * (0.9 + 1.3 * leaf + 0.3 * broad)
    elif kind == 5:  # glass front
        out = wp.lerp(vec3(0.05, 0.065, 0.075), vec3(0.3, 0.34, 0.38), wp.clamp(0.25 + 0.2 * z + 0.5 * broad, 0.0, 1.0))
        if cell_edge(u / 1.3, 0.03) > 0.5 or cell_edge(z / 2.6, 0.02) > 0.5 or z < 0.12:
            out = a * 0.6
    elif kind == 6:  # plaster over a dado
        if z < 0.9:
            out = b * (1.0 + 0.18 * broad)
        if wp.abs(z - 0.9) < 0.03:
            out = c
    elif kind == 7:  # blocks of stone
        s = bricks(u, z, 0.8, 0.4, 0.016)
        out = wp.lerp(a * (0.82 + 0.3 * s[0] + 0.15 * broad), a * 0.4, s[1])
    elif kind == 8:  # posters
        if wp.abs(x) < half - 0.25 and z > 0.5 and z < 2.2:
            k = hash21(bay, seed + 4.0)
            out = vec3(0.2 + 0.6 * k, 0.2 + 0.6 * wp.frac(k * 7.0), 0.2 + 0.6 * wp.frac(k * 13.0))
            if noise2(u * 1.7, z * 1.7, int(seed) + 6) > 0.12:
                out = vec3(1.0, 1.0, 1.0) - out * 0.9
            if wp.frac(z * 3.0) < 0.3 and hash21(wp.floor(z * 3.0), bay) > 0.5:
                out = vec3(0.75, 0.74, 0.7)
            out = wp.lerp(vec3(0.35, 0.34, 0.33), out, 0.4)
    elif kind == 9:  # roller door
        out = a * (0.85 + 0.2 * wp.frac(z / 0.11))
        if wp.abs(x) > half - 0.12:
            out = b
    elif kind == 10:  # far-off street: blurred shapes
        f = noise2(u * 0.35, z * 0.5, int(seed) + 2) + 0.4 * noise2(u * 1.7, z * 1.1, int(seed) + 8)
        out = wp.lerp(a, b, wp.clamp(0.5 + 1.2 * f, 0.0, 1.0))
    return vec3(wp.clamp(out[0], 0.01, 0.9), wp.clamp(out[1], 0.01, 0.9), wp.clamp(out[2], 0.01, 0.9))


@wp.func
def prop_albedo(props: wp.array2d(dtype=float), i: int, p: vec3, n: vec3) -> vec3:
    """Colour of a prop. Row: ..., colour (8), surface (11: 0 plain, 1 leaves, 2 car, 3 bark, 4 bands), second (12)."""
    a = vec3(props[i, 8], props[i, 9], props[i, 10])
    b = vec3(props[i, 12], props[i, 13], props[i, 14])
    kind = int(props[i, 11])
    z = p[2] - props[i, 3]
    out = a * (1.0 + 0.12 * noise2((p[0] + p[1]) * 6.0, p[2] * 6.0, 21))
    if kind == 1:
        leaf = wp.noise(wp.rand_init(23), p * 21.0) + 0.7 * wp.noise(wp.rand_init(24), p * 47.0)
        out = a * wp.clamp(0.85 + 1.3 * leaf, 0.12, 2.2)
    elif kind == 2:
        if z > 0.12 * props[i, 6] and z < 0.8 * props[i, 6]:
            out = vec3(0.04, 0.045, 0.05)
        if z < -0.72 * props[i, 6]:
            out = vec3(0.03, 0.03, 0.03)
    elif kind == 3:
        out = a * (1.0 + 0.7 * noise2((p[0] + p[1]) * 40.0, p[2] * 7.0, 25))
    elif kind == 4:
        if wp.frac(p[2] / 0.4) < 0.5:
            out = b
    return out
