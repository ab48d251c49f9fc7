"""Ranking at Market-1501's size, beside per-query argsort loops, on the CPU.

    python benchmarks/ranking.py
    python benchmarks/ranking.py million       # 1,000 queries in a gallery of a million, 256 numbers: 2.5 GB

Hard random data: 3,368 queries x 15,913 gallery crops that count, plus 3,819 junk crops; 2,798 distractors, 6 cameras.

1. The loop of the field's evaluators: argsort, then for each query boolean masks and a Python list of the precisions at
   all ranks. It is timed on the first 300 queries; only its loop is scaled up, the argsort is timed in full.
2. The same without any Python list, the best that per-query argsorts can do. Both use the stable argsort, which fixes
   ties; 2b is timed with numpy's unstable one, whose order of ties is arbitrary.

Seconds are CPU time of the process, so that a busy machine does not bend the ratios.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

QUERIES, PERSONS, MATCHES, DISTRACTORS, JUNK, CAMERAS = 3368, 750, 13_115, 2798, 3819, 6
SCALED = 300
MILLION_NOISE = 1.75


def market_like(seed=0):
    rng = np.random.default_rng(seed)
    gallery_pids = np.concatenate([rng.integers(1, PERSONS + 1, MATCHES), np.zeros(DISTRACTORS), np.full(JUNK, -1)])
    gallery_pids = rng.permutation(gallery_pids.astype(np.int64))
    return {
        "query_pids": rng.integers(1, PERSONS + 1, QUERIES),
        "gallery_pids": gallery_pids,
        "query_camids": rng.integers(1, CAMERAS + 1, QUERIES),
        "gallery_camids": rng.integers(1, CAMERAS + 1, len(gallery_pids)),
    }


def hard_distances(who, seed=1):
    distances = np.random.default_rng(seed).random((QUERIES, len(who["gallery_pids"])), dtype=np.float32)
    for row, pid in zip(distances, who["query_pids"], strict=True):
        row[who["gallery_pids"] == pid] -= 0.2  # positives somewhat nearer, far from separable
    return distances


def fields_loop(distances, query_pids, gallery_pids, query_camids, gallery_camids, queries):
    order = np.argsort(distances, axis=1, kind="stable")
    began = time.process_time()
    aps = []
    for q in range(queries):
        pids, camids = gallery_pids[order[q]], gallery_camids[order[q]]
        keep = ~((pids == query_pids[q]) & (camids == query_camids[q])) & (pids != -1)
        hits = (pids == query_pids[q])[keep].astype(np.int32)
        if hits.any():
            precisions = [found / (place + 1.0) for place, found in enumerate(hits.cumsum())]
            aps.append((np.asarray(precisions) * hits).sum() / hits.sum())
    return np.array(aps), time.process_time() - began


def argsort_loop(distances, query_pids, gallery_pids, query_camids, gallery_camids, kind="stable"):
    aps, firsts = [], []
    for q, row in enumerate(distances):
        order = np.argsort(row, kind=kind)
        pids, camids = gallery_pids[order], gallery_camids[order]
        same = pids == query_pids[q]
        ranks = np.flatnonzero(same[~((same & (camids == query_camids[q])) | (pids == -1))]) + 1
        if len(ranks):
            aps.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
            firsts.append(ranks[0])
    return np.array(aps), np.array(firsts)


def timed(function, *args, **kwargs):
    began = time.process_time()
    value = function(*args, **kwargs)
    return value, time.process_time() - began


def people_features(pids, centres, generator):
    """float32 (N, D): each person's centre, and noise."""
    import torch

    made = centres[pids]
    for rows in made.split(10_000):
        rows += MILLION_NOISE * torch.randn(rows.shape, generator=generator)
    return made


def million(gallery_crops=1_000_000, queries=1000, width=256):
    """Ranking beside the bare product, in turns; 15 crops a person, 6 cameras."""
    import torch

    from reidgen.metrics import rank_features

    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(gallery_crops // 15, width, generator=generator)
    pids = [torch.randint(len(centres), (count,), generator=generator) for count in (queries, gallery_crops)]
    camids = [torch.randint(6, (count,), generator=generator) for count in (queries, gallery_crops)]
    query, gallery = (people_features(one, centres, generator) for one in pids)
    before = peak_kib()
    rank_features(query, gallery, *pids, *camids)
    print(f"memory of the ranking beside its inputs: {(peak_kib() - before) / 1024:.0f} MB", flush=True)
    for _ in range(3):
        found, ours = timed(rank_features, query, gallery, *pids, *camids)
        _, bare = timed(bare_product, query, gallery)
        print(f"ranking {ours:.2f} s, product {bare:.2f} s: {ours / bare:.2f} times; mAP {found.mAP:.4f}", flush=True)


def bare_product(query, gallery, block=500):
    import torch

    held = torch.empty(block, len(gallery))
    for rows in query.split(block):
        torch.mm(rows, gallery.T, out=held[: len(rows)])


def peak_kib():
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def extra_memory(mode):
    """Peak memory of a ranking beyond its inputs, in MB; run in a process of its own."""
    from reidgen.metrics import rank, rank_features

    who = market_like()
    if mode == "distances":
        distances = hard_distances(who)
    else:
        rng = np.random.default_rng(1)
        query = rng.standard_normal((len(who["query_pids"]), 2048), dtype=np.float32)
        gallery = rng.standard_normal((len(who["gallery_pids"]), 2048), dtype=np.float32)
    before = peak_kib()
    if mode == "distances":
        rank(distances, **who)
    else:
        rank_features(query, gallery, **who)
    return (peak_kib() - before) / 1024


def main():
    from reidgen.metrics import rank

    who = market_like()
    distances = hard_distances(who)
    print(f"{QUERIES} queries x {distances.shape[1]} gallery crops ({JUNK} of them junk), float32")
    counted, ours = min((timed(rank, distances, **who) for _ in range(3)), key=lambda pair: pair[1])
    (aps, firsts), plain = timed(argsort_loop, distances, **who)
    _, unstable = timed(argsort_loop, distances, **who, kind="quicksort")
    _, argsort = timed(np.argsort, distances, axis=1, kind="stable")
    some, loop = fields_loop(distances[:SCALED], **who, queries=SCALED)
    field = argsort + loop * QUERIES / SCALED
    print(f"counting, reidgen.metrics.rank         {ours:7.2f} s")
    print(
        f"1  argsort and the field's Python loop {field:7.2f} s  {field / ours:6.1f} times (loop scaled from {SCALED})"
    )
    print(f"2  per-query argsort, no Python lists  {plain:7.2f} s  {plain / ours:6.1f} times")
    print(f"2b the same with the unstable argsort  {unstable:7.2f} s  {unstable / ours:6.1f} times")
    ap, first = counted.ap[counted.matched], counted.first_rank[counted.matched]
    differences = np.abs(ap[: len(some)] - some).max(), np.abs(ap - aps).max()
    print(f"largest difference of an AP to loop 1 and 2: {differences[0]:.1e}, {differences[1]:.1e}")
    print(f"first ranks equal: {np.array_equal(first, firsts)}; mAP {counted.mAP:.6f} and {aps.mean():.6f}")
    for mode in ("distances", "features"):
        output = subprocess.run([sys.executable, __file__, mode], check=True, capture_output=True).stdout
        print(f"extra memory from {mode}: {float(output):.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:] == ["million"]:
        million()
    elif len(sys.argv) > 1:
        print(extra_memory(sys.argv[1]))
    else:
        main()
