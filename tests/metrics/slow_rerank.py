"""Re-ranking as one reads it in the paper: sets and loops, every number of every pair. Slow and obvious, for tests."""

import numpy as np


def squares(features):
    """Squared Euclidean distances in float64, 0 to itself."""
    x = np.asarray(features, dtype=np.float64)
    return ((x[:, None] - x[None]) ** 2).sum(axis=2)


def neighbour_lists(distances):
    """All features of each row, itself first, then nearest first, of equal ones the smaller index first."""
    return [sorted(range(len(row)), key=lambda j, i=i, row=row: (j != i, row[j], j)) for i, row in enumerate(distances)]


def reciprocal(lists, p, size):
    return {c for c in lists[p][:size] if p in lists[c][:size]}


def expanded(lists, p, size, half):
    own = reciprocal(lists, p, size)
    whole = set(own)
    for c in own:
        candidate = reciprocal(lists, c, half)
        if 3 * len(candidate & own) > 2 * len(candidate):
            whole |= candidate
    return whole


def vectors(distances, lists, size, half, k2):
    """V, dense."""
    v = np.zeros_like(distances)
    for p in range(len(v)):
        members = sorted(expanded(lists, p, size, half))
        weights = np.exp(-distances[p, members])
        v[p, members] = weights / weights.sum()
    return np.array([v[lists[p][:k2]].mean(axis=0) for p in range(len(v))])


def jaccard(v):
    distances = np.empty((len(v), len(v)))
    for i in range(len(v)):
        for j in range(len(v)):
            shared = sum(min(a, b) for a, b in zip(v[i], v[j], strict=True))
            distances[i, j] = 1 - shared / (2 - shared)
    return distances


def slow_rerank(query, gallery, k1, k2, lambda_, *, twice=True):
    """Lists of k1 and itself; distances over the largest of the row. Not `twice`: query and gallery are the same."""
    plain = squares(np.concatenate([query, gallery]) if twice else gallery)
    lists = neighbour_lists(plain)
    plain = plain / plain.max(axis=1, keepdims=True)
    both = jaccard(vectors(plain, lists, k1 + 1, round(k1 / 2) + 1, k2))
    if not twice:
        return (1 - lambda_) * both + lambda_ * plain
    count = len(query)
    return (1 - lambda_) * both[:count, count:] + lambda_ * plain[:count, count:]


def slow_jaccard(features, k1, k2):
    """Features of length 1; lists of k1 with itself."""
    plain = squares(features)
    lists = neighbour_lists(plain)
    return jaccard(vectors(plain, lists, k1, round(k1 / 2) + 1, k2))


def clustered(seed, count, width=6, people=5, noise=0.5):
    """Unit features of a few people, in groups of different sizes; float32 (count, width)."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, width))
    features = centres[rng.integers(0, people, count)] + noise * rng.normal(size=(count, width))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
