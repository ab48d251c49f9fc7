"""Clusters of an epoch and agreements of parts, with their search of neighbours, on the CPU.

    python benchmarks/clusters.py                    # 12,936 crops: a minute
    python benchmarks/clusters.py --crops 100000     # minutes, without parts

The features are those of `rerank.py`, of 512 numbers, 15 crops a person; k1 30, k2 6, eps .6, agreement of three parts
by 20 neighbours. Each number of threads has a process of its own, whose peak is told, features and imports included.
Beside the searches stand bare products of all with all; beside the agreement the usual loop over images, numpy's
intersection and union of two lists each. CPU seconds bend less on a busy machine than seconds by the clock.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
from rerank import features, say, status_mb

WIDTH, EACH, PARTS = 512, 15, 3
BLOCK = 1024


def timed(what, function, *args):
    """What the function gives and its CPU seconds, which are said."""
    processor, clock = time.process_time(), time.monotonic()
    value = function(*args)
    sec = time.process_time() - processor
    say(f"  {what:40s} {sec:8.2f} CPU s, {time.monotonic() - clock:8.2f} s by the clock")
    return value, sec


def product(known):
    import torch

    held = torch.empty(BLOCK, len(known))
    for rows in known.split(BLOCK):
        torch.mm(rows, known.T, out=held[: len(rows)])


def loop_agreement(lists, others):
    scores = np.empty(len(lists), np.float32)
    for image, (a, b) in enumerate(zip(lists, others, strict=True)):
        scores[image] = len(np.intersect1d(a, b)) / len(np.union1d(a, b))
    return scores


def epoch(crops):
    import torch

    from reidgen.config import UnsupervisedConfig
    from reidgen.metrics import cross_agreement
    from reidgen.metrics.neighbours import nearest_neighbours
    from reidgen.reid.unsupervised.clusters import agreements, find_clusters, neighbours_of

    config = UnsupervisedConfig(recipe="pplr", k1=30, k2=6, eps=0.6, agreement_k=20)
    known = torch.from_numpy(features(crops, crops // EACH, width=WIDTH))
    _, bare = timed("bare product of all with all", product, known)
    near, search = timed("search of neighbours", neighbours_of, known, config)
    labels, rest = timed("Jaccard distance and DBSCAN", find_clusters, known, config, near)
    say(f"  search {search / bare:.2f} products, all {(search + rest) / bare:.2f}; peak {status_mb('VmHWM'):.0f} MB")
    say(f"  {labels.max() + 1:,} clusters, {(labels < 0).sum():,} outliers")
    if crops > 20_000:
        return
    noise = torch.randn(crops, PARTS, WIDTH, generator=torch.Generator().manual_seed(0)) / WIDTH**0.5
    views = torch.cat([known[:, None], torch.nn.functional.normalize(known[:, None] + 0.5 * noise, dim=2)], dim=1)
    _, parts = timed(f"search and agreement of {PARTS} parts", agreements, views, config.agreement_k, near)
    say(f"  all of an epoch {search + rest + parts:.2f} CPU s; peak {status_mb('VmHWM'):.0f} MB")
    lists = [nearest_neighbours(views[:, part].contiguous(), 21).indices[:, 1:] for part in (0, 1)]
    found, ours = min((timed("agreement", cross_agreement, *lists) for _ in range(3)), key=lambda run: run[1])
    looped, loop = timed("agreement by a loop over images", loop_agreement, *lists)
    say(f"  {loop / ours:.0f} times as fast; largest difference {np.abs(found - looped).max():.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crops", type=int, default=12_936)
    parser.add_argument("--threads", type=int, help="in this process alone")
    options = parser.parse_args()
    if options.threads is None:
        for threads in ("1", "2"):
            subprocess.run([sys.executable, __file__, "--crops", str(options.crops), "--threads", threads], check=True)
        return
    import torch

    torch.set_num_threads(options.threads)
    say(f"{options.crops:,} crops of {WIDTH} numbers, {options.threads} threads")
    epoch(options.crops)


if __name__ == "__main__":
    main()
