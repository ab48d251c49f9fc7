"""Re-ranking, and clustering by Jaccard distance, beside the dense numpy algorithms of the field, on the CPU.

    python benchmarks/rerank.py                # 600 x 3,000 and 3,000 features: a minute
    python benchmarks/rerank.py --size full    # Market-1501's: minutes, and 5 GB for the dense ones

Features are made: 750 people by six cameras, 2,048 numbers of a falling spectrum, one neighbour in seven of another
person. The dense algorithms are given their distances, as the field's functions are; of ours the products of all
features with all are left out alike, but not those of single pairs. Seconds are CPU time of the process, so that a busy
machine does not bend the ratios; memory is the peak of a process of its own, into which the clustering's neighbours
come from another one.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

WIDTH, PEOPLE, CAMERAS, DISTRACTORS, NOISE = 2048, 750, 6, 0.145, 1.6
SIZES = {"small": (600, 3_000, 3_000), "half": (1_684, 7_956, 6_468), "full": (3_368, 15_913, 12_936)}
EPS, MIN_SAMPLES, NEIGHBOURS = 0.5, 4, 30
REPEATS = 3  # of ours, the best of which counts; the dense ones run once


def features(count, people, seed=0, width=WIDTH):
    """float32 (count, width) of length 1."""
    rng = np.random.default_rng(seed)
    spectrum = (1 / np.sqrt(1 + np.arange(width) / 40)).astype(np.float32)
    centres = rng.standard_normal((people, width), dtype=np.float32)
    cameras = 0.5 * rng.standard_normal((CAMERAS, width), dtype=np.float32)
    whole = np.empty((count, width), np.float32)
    for first in range(0, count, 1000):
        part = whole[first : first + 1000]
        own = centres[rng.integers(0, people, len(part))] + cameras[rng.integers(0, CAMERAS, len(part))]
        own += NOISE * rng.standard_normal(part.shape, dtype=np.float32)
        alone = rng.random(len(part)) < DISTRACTORS
        own[alone] = 1.9 * rng.standard_normal((int(alone.sum()), width), dtype=np.float32)
        own *= spectrum
        part[:] = own / np.linalg.norm(own, axis=1, keepdims=True)
    return whole


def dense_vectors(distances, order, size, half, k2):
    """V of equations 2, 3, 5 and 10 as a matrix of all pairs, one row after the other."""
    vectors = np.zeros_like(distances)
    for i in range(len(distances)):
        forward = order[i, :size]
        mutual = forward[np.nonzero(order[forward, :size] == i)[0]]
        whole = mutual
        for candidate in mutual:
            its = order[candidate, :half]
            its = its[np.nonzero(order[its, :half] == candidate)[0]]
            if len(np.intersect1d(its, mutual)) > 2 / 3 * len(its):
                whole = np.append(whole, its)
        whole = np.unique(whole)
        weights = np.exp(-distances[i, whole])
        vectors[i, whole] = weights / weights.sum()
    averaged = np.zeros_like(vectors)
    for i in range(len(distances)):
        averaged[i] = vectors[order[i, :k2]].mean(axis=0)
    return averaged


def sorted_indices(squares, kind=None):
    order = np.empty(squares.shape, np.int32)
    for first in range(0, len(squares), 500):
        order[first : first + 500] = np.argsort(squares[first : first + 500], axis=1, kind=kind)
    return order


def dense_jaccard(vectors, rows):
    holders = [np.nonzero(vectors[:, i])[0] for i in range(len(vectors))]
    distances = np.zeros((rows, len(vectors)), np.float32)
    for i in range(rows):
        shared = np.zeros(len(vectors), np.float32)
        for column in np.nonzero(vectors[i])[0]:
            them = holders[column]
            shared[them] += np.minimum(vectors[i, column], vectors[them, column])
        distances[i] = 1 - shared / (2 - shared)
    return distances


def dense_rerank(squares, queries, k1=20, k2=6, lambda_=0.3, kind=None):
    order = sorted_indices(squares, kind)
    squares /= squares.max(axis=1, keepdims=True)  # in place, and 32-bit indices: less memory than the field's code
    vectors = dense_vectors(squares, order, k1 + 1, round(k1 / 2) + 1, k2)
    plain = squares[:queries].copy()
    del order
    return ((1 - lambda_) * dense_jaccard(vectors, queries) + lambda_ * plain)[:, queries:]


def dense_clusters(squares, order, k1=30, k2=6):
    from sklearn.cluster import DBSCAN

    vectors = dense_vectors(squares, order, k1, round(k1 / 2) + 1, k2)
    distances = np.clip(dense_jaccard(vectors, len(squares)), 0, None)
    return DBSCAN(eps=EPS, min_samples=MIN_SAMPLES, metric="precomputed").fit_predict(distances)


def say(*words):
    print(*words, flush=True)


def timed(function, *args, **kwargs):
    began = time.process_time()
    value = function(*args, **kwargs)
    return value, time.process_time() - began


class Stopwatch:
    """Seconds of calls to be left out of a measurement."""

    def __init__(self):
        self.sec = 0.0

    def around(self, function):
        """The function, its calls counted."""

        def watched(*args, **kwargs):
            value, sec = timed(function, *args, **kwargs)
            self.sec += sec
            return value

        return watched


@contextlib.contextmanager
def products_aside():
    """Counts the products of all features with all."""
    from reidgen.metrics import neighbours
    from reidgen.metrics.neighbours import squares_to

    watch = Stopwatch()
    neighbours.squares_to = lambda features: watch.around(squares_to(features))
    try:
        yield watch
    finally:
        neighbours.squares_to = squares_to


def exact_squares(known):
    """By our products, in our blocks: others round otherwise, and neighbours as good as equally far change places."""
    import torch

    from reidgen.metrics.neighbours import block_rows, squares_to

    tensor = torch.from_numpy(known)
    squares_of, block = squares_to(tensor), block_rows(tensor)
    squares = np.empty((len(known), len(known)), np.float32)
    for first in range(0, len(known), block):
        squares[first : first + block] = squares_of(tensor[first : first + block]).numpy()
    squares[np.diag_indices(len(squares))] = 0
    return squares


def reranked(queries, known):
    """Result, and seconds without the products."""
    from reidgen.metrics import rerank

    with products_aside() as watch:
        found, sec = timed(rerank, known[:queries], known[queries:])
    return found, sec - watch.sec


def neighbours_of(known):
    import torch

    from reidgen.metrics.neighbours import nearest_neighbours

    return nearest_neighbours(torch.from_numpy(known), NEIGHBOURS)


def clustered(known, neighbours):
    """Labels."""
    import torch

    from reidgen.metrics import dbscan
    from reidgen.metrics.reranking.jaccard import vectors_distance
    from reidgen.metrics.reranking.reciprocal import reciprocal_vectors

    vectors = reciprocal_vectors(torch.from_numpy(known), neighbours, size=NEIGHBOURS, half=16, k2=6)
    return dbscan(vectors_distance(vectors, at_most=EPS), eps=EPS, min_samples=MIN_SAMPLES)


def neighbours_elsewhere(count):
    """Those of `features(count, PEOPLE)`, found in a process that has ended."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(made_neighbours, count).result()


def made_neighbours(count):
    return neighbours_of(features(count, PEOPLE))


def status_mb(field):
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(field))) / 1024


def memory_of(what, queries, gallery, clustered_rows):
    """Peak of this process in MB, its imports and features included, and how much it held before."""
    import torch  # noqa: F401

    if what == "rerank":
        known = features(queries + gallery, PEOPLE)
        before = status_mb("VmRSS")
        reranked(queries, known)
    else:
        known, neighbours = features(clustered_rows, PEOPLE), neighbours_elsewhere(clustered_rows)
        before = status_mb("VmRSS")
        clustered(known, neighbours)
    return status_mb("VmHWM"), before


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small", help="full: that of Market-1501")
    parser.add_argument("--only", choices=("rerank", "cluster"))
    parser.add_argument("--memory", choices=("rerank", "cluster"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    queries, gallery, clustered_rows = SIZES[options.size]
    if options.memory:
        say(*memory_of(options.memory, queries, gallery, clustered_rows))
        return
    people = PEOPLE * clustered_rows // SIZES["full"][2]
    if options.only != "cluster":
        report_rerank(queries, features(queries + gallery, people))
        report_memory("rerank", options.size)
    if options.only != "rerank":
        report_clusters(features(clustered_rows, people))
        report_memory("cluster", options.size)


def report_rerank(queries, known):
    say(f"re-ranking, {queries:,} queries x {len(known) - queries:,} gallery features of {WIDTH:,}")
    found, sec = min((reranked(queries, known) for _ in range(REPEATS)), key=lambda run: run[1])
    squares = exact_squares(known)
    quick, dense = timed(dense_rerank, squares, queries)
    far = np.count_nonzero(np.abs(found - quick) > 1e-5)
    del quick, squares
    expected = dense_rerank(exact_squares(known), queries, kind="stable")
    say(f"  reidgen.metrics.reranking.rerank, products aside {sec:8.2f} s")
    say(f"  dense numpy, products aside            {dense:8.2f} s  {dense / sec:6.1f} times")
    say(f"  largest difference {np.abs(found - expected).max():.1e}, equal distances sorted by index")
    say(f"  above 1e-5: {far:,} of {found.size:,} where they are sorted in no order, as the field's code does")


def report_clusters(known):
    say(f"Jaccard distance and DBSCAN, {len(known):,} features of {WIDTH:,}")
    neighbours = neighbours_of(known)
    found, sec = min((timed(clustered, known, neighbours) for _ in range(REPEATS)), key=lambda run: run[1])
    squares = exact_squares(known)
    order = sorted_indices(squares)
    expected, dense = timed(dense_clusters, squares, order)
    say(f"  sparse, neighbour search aside {sec:8.2f} s")
    say(f"  dense numpy and scikit-learn   {dense:8.2f} s  {dense / sec:6.1f} times")
    print(
        f"  {expected.max() + 1} clusters, {(expected < 0).sum():,} outliers; equal: {np.array_equal(found, expected)}"
    )


def report_memory(what, size):
    call = [sys.executable, __file__, "--memory", what, "--size", size]
    whole, before = map(float, subprocess.run(call, check=True, capture_output=True).stdout.split())
    say(f"  peak of a process {whole:.0f} MB, which held {before:.0f} MB before")


if __name__ == "__main__":
    main()
