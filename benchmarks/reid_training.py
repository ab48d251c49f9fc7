"""The re-ID training loop and the embedding pass, beside bare passes of the same network over one fixed batch.

    python benchmarks/reid_training.py

Small on purpose (resnet18, 128x64, batch 32): the smaller the network, the larger the share of everything else. The
bare training step is forward, cross entropy and backward, and is timed with the optimiser's step too; the bare
embedding is the forward pass of the crop and of its mirror image. A step of the loop is what `train_reid` takes longer
for N + 1 steps than for one; what it takes for one (reading, hashing, building, writing) is printed beside it.
Validation is off: it is work of its own. Seconds are CPU time of one thread, and the sides take turns, so that a busy
machine bends the ratio little.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reidgen.backbones.reid_model import build_network, embed
from reidgen.config import ReidConfig
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.reid.supervised.recipe import make_optimizer
from reidgen.reid.train import train_reid

PEOPLE, CROPS, SIZE, BATCH = 32, 10, (128, 64), 32


def make_crops(folder):
    rng = np.random.default_rng(0)
    rows = []
    for pid in range(1, PEOPLE + 1):
        for i in range(CROPS):
            name = f"bounding_box_train/{pid:04d}_c{1 + i % 6}s1_{i:06d}_00.jpg"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).resize(SIZE[::-1]).save(path)
            rows.append({"file_name": name, "pid": pid, "camid": 1 + i % 6, "split": "train"})
    return ReidTable.from_rows(rows, root=folder, name="noise")


def bare_training(config, steps, *, with_optimizer):
    network = build_network(config, PEOPLE)
    network.initialise(torch.Generator().manual_seed(0))
    network.to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(network, config)
    images = torch.randn(BATCH, 3, *SIZE).to(memory_format=torch.channels_last)
    labels = torch.randint(0, PEOPLE, (BATCH,))
    began = time.process_time()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(network(images).logits, labels).backward()
        if with_optimizer:
            optimizer.step()
    return time.process_time() - began


def loop(table, config, out):
    """Seconds of a whole `train_reid`, from reading the table to the written weights."""
    began = time.process_time()
    train_reid(table, config, out=out)
    return time.process_time() - began


@torch.inference_mode()
def bare_embedding(network, batches):
    images = torch.randn(64, 3, *SIZE).to(memory_format=torch.channels_last)
    mirrored = images.flip(3)
    began = time.process_time()
    for _ in range(batches):
        network(images).embedding + network(mirrored).embedding
    return time.process_time() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        table = make_crops(Path(folder) / "crops")
        config = ReidConfig(
            backbone="resnet18",
            weights="random",
            size=SIZE,
            batch=BATCH,
            validation="none",
            device="cpu",
            steps=arguments.steps,
        )
        store = CropStore.open(table, size=SIZE)
        network = train_reid(table, config, out=Path(folder) / "warm").network
        ratios = {"loop to forward and backward": [], "loop to these and optimiser": [], "embedding to forward": []}
        once = []
        for turn in range(arguments.rounds):
            once.append(loop(table, replace(config, steps=1), Path(folder) / f"once{turn}"))
            bare = bare_training(config, arguments.steps, with_optimizer=False)
            ours = loop(table, replace(config, steps=arguments.steps + 1), Path(folder) / f"run{turn}") - once[-1]
            stepped = bare_training(config, arguments.steps, with_optimizer=True)
            ratios["loop to forward and backward"].append((ours / bare, bare / arguments.steps))
            ratios["loop to these and optimiser"].append((ours / stepped, stepped / arguments.steps))
            bare = bare_embedding(network, len(store) // 64)
            began = time.process_time()
            embed(network, store, batch=64)
            ratios["embedding to forward"].append(((time.process_time() - began) / bare, bare / (len(store) // 64)))
    for name, pairs in ratios.items():
        turns = "  ".join(f"{ratio:.3f}" for ratio, _ in pairs)
        middle, bare = np.median(pairs, axis=0)
        print(f"{name:28} {middle:.3f} times ({1000 * bare:.0f} ms a bare batch); turns: {turns}")
    print(f"train_reid for one step: {np.median(once):.2f} s")


if __name__ == "__main__":
    main()
