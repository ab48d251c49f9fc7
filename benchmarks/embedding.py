"""Embedding a folder of crops, from JPEG files to a matrix, beside bare forward passes of the same network.

    python benchmarks/embedding.py --backbone resnet50 --size 256 128 --crops 192
    python benchmarks/embedding.py --backbone resnet18 --size 128 64 --crops 960     # a small network: the hard case

The folder is embedded three times: cold (files are hashed, decoded and resized, the arrays written to the cache), with
its crops decoded, and with its embeddings kept. The bare passes are those of the crops and of their mirror images, over
one batch that is there already. Seconds are CPU time of one thread, and the sides take turns, so that a busy machine
bends the ratio little.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reidgen.backbones.reid_model import ReidModel, build_network
from reidgen.config import ReidConfig
from reidgen.data.table import ReidTable
from reidgen.reid.cache import embeddings_of

BATCH, NATIVE = 64, (128, 64)


def make_crops(folder, count):
    """Smooth pictures of Market-1501's size, about as large as JPEG files of real crops."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        name = f"bounding_box_test/{1 + i // 8:04d}_c{1 + i % 6}s1_{i:06d}_00.jpg"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (NATIVE[0] // 4, NATIVE[1] // 4, 3), dtype=np.uint8))
        coarse.resize(NATIVE[::-1], Image.Resampling.BICUBIC).save(path, quality=90)
        rows.append({"file_name": name, "pid": 1 + i // 8, "camid": 1 + i % 6, "split": "gallery"})
    return ReidTable.from_rows(rows, root=folder, name="smooth")


@torch.inference_mode()
def bare(model, count, size):
    began = time.process_time()
    for first in range(0, count, BATCH):
        images = torch.zeros(min(BATCH, count - first), 3, *size).to(memory_format=torch.channels_last)
        model.network(images).embedding + model.network(images).embedding
    return time.process_time() - began


def seconds(model, table):
    began = time.process_time()
    embeddings_of(model, table, flip="sum", batch=BATCH)
    return time.process_time() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 128))
    parser.add_argument("--crops", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = tuple(options.size)
    config = ReidConfig(backbone=options.backbone, weights="random", size=size)
    network = build_network(config, 751)
    network.initialise(torch.Generator().manual_seed(0))
    network.to(memory_format=torch.channels_last).eval()
    model = ReidModel(network, config, list(range(751)), {}, "benchmark", torch.device("cpu"))
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        table = make_crops(Path(folder) / "crops", options.crops)
        bare(model, BATCH, size)
        for number in range(options.rounds):
            os.environ["REIDGEN_CACHE"] = str(Path(folder) / f"cache-{number}")
            cold = seconds(model, table)
            plain = bare(model, options.crops, size)
            next(Path(os.environ["REIDGEN_CACHE"]).glob("embeddings-*")).unlink()
            decoded = seconds(model, table)
            rounds.append((plain, cold, decoded, seconds(model, table)))
    plain, cold, decoded, kept = (min(column) for column in zip(*rounds, strict=True))
    print(f"{options.backbone}, {size[0]}x{size[1]}, {options.crops} crops and their mirror images, one thread")
    print(f"bare forward passes           {plain:7.2f} s  {1000 * plain / options.crops:6.2f} ms a crop")
    for name, sec, index in (
        ("cold folder", cold, 1),
        ("crops decoded before", decoded, 2),
        ("embeddings kept", kept, 3),
    ):
        turns = ", ".join(f"{row[index] / row[0]:.2f}" for row in rounds)
        print(f"{name:29} {sec:7.2f} s  {sec / plain:6.3f} times (turns {turns})")


if __name__ == "__main__":
    main()
