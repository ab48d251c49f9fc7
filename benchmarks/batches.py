"""Training batches from the store, beside decoding and changing every image with Pillow.

    python benchmarks/batches.py

Crops of 128x64 as JPEG become batches of 32 at 256x128: mirrored, padded by 10 and cropped, normalised, erased with
probability 0.5. The reference does this image by image, as the field's loaders do: decode, resize, flip, pad and crop
with Pillow, then normalise and erase with NumPy, and stack. Both read warm files and end with float32 on the CPU.

The store decodes each crop once; that is timed beside it, and after how many epochs it is paid for. Seconds are CPU
time of one thread (decoding: of both threads), and the sides take turns batch by batch, so that a busy machine bends
the ratio little.
"""

import math
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from reidgen.config import AugmentConfig
from reidgen.data.augment import IMAGENET_MEAN, IMAGENET_STD, augment
from reidgen.data.pixels.store import CropStore
from reidgen.data.samplers import EpochSampler
from reidgen.data.table import ReidTable

CROPS, BATCH, NATIVE, SIZE, STEPS = 640, 32, (128, 64), (256, 128), 100
REQUIRED = 5
CONFIG = AugmentConfig(flip=0.5, pad=10, erase=0.5)


def write_crops(folder):
    """Blurred noise: JPEG files of about 3 kB, as real crops of this size have."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(CROPS):
        name = f"bounding_box_train/{1 + i // 10:04d}_c{1 + i % 6}s1_{i:06d}_00.jpg"
        (folder / name).parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (NATIVE[0] // 4, NATIVE[1] // 4, 3), dtype=np.uint8))
        coarse.resize((NATIVE[1], NATIVE[0]), Image.Resampling.BICUBIC).save(folder / name, quality=90)
        rows.append({"file_name": name, "pid": 1 + i // 10, "camid": 1 + i % 6, "split": "train"})
    return ReidTable.from_rows(rows, root=folder)


def one_image(path, rng):
    height, width = SIZE
    with Image.open(path) as file:
        image = file.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    if rng.random() < CONFIG.flip:
        image = ImageOps.mirror(image)
    left, top = rng.randint(0, 2 * CONFIG.pad), rng.randint(0, 2 * CONFIG.pad)
    image = ImageOps.expand(image, CONFIG.pad).crop((left, top, left + width, top + height))
    pixels = (np.asarray(image, dtype=np.float32) / 255 - MEAN) / STD
    if rng.random() < CONFIG.erase:
        erase(pixels, rng)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def erase(pixels, rng):
    height, width = SIZE
    for _ in range(100):
        area, aspect = rng.uniform(*CONFIG.erase_area) * height * width, rng.uniform(*CONFIG.erase_aspect)
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if tall < height and wide < width:
            top, left = rng.randint(0, height - tall), rng.randint(0, width - wide)
            pixels[top : top + tall, left : left + wide] = IMAGENET_MEAN
            return


MEAN, STD = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)


def with_pillow(paths, indices, step):
    rng = random.Random(step)
    return torch.stack([one_image(paths[i], rng) for i in indices])


def with_store(store, indices, step):
    return augment(store.batch(indices), CONFIG, torch.Generator().manual_seed(step))


def seconds(work, *arguments):
    began = time.process_time()
    batch = work(*arguments)
    took = time.process_time() - began
    assert batch.shape == (BATCH, 3, *SIZE)
    return took


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        table = write_crops(Path(folder))
        began = time.process_time()
        store = CropStore.open(table, size=SIZE, cache=Path(folder) / "cache")
        decoding = time.process_time() - began
        sampler = EpochSampler(CROPS, BATCH)
        pairs = []
        for step in range(STEPS):
            indices = sampler.indices(step)
            pairs.append((seconds(with_pillow, table.paths, indices, step), seconds(with_store, store, indices, step)))
    slow, fast = np.array(pairs).T / BATCH
    low, ratio, high = np.quantile(slow / fast, (0.25, 0.5, 0.75))
    print(f"Pillow, image by image: {1 / np.median(slow):9,.0f} crops/s")
    print(f"store, whole batches:   {1 / np.median(fast):9,.0f} crops/s")
    print(f"ratio of a batch: median {ratio:.1f}, quartiles {low:.1f} and {high:.1f} (required: {REQUIRED})")
    paid = decoding / CROPS / (np.median(slow) - np.median(fast))
    print(f"decoding once: {CROPS / decoding:,.0f} crops/s, paid for after {paid:.1f} epochs")
    return 0 if ratio >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
