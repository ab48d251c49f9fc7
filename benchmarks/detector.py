"""YOLOv4-tiny at 416x416: reidgen's network against OpenCV's importer on the same Darknet files, random weights.

python benchmarks/detector.py        # extra: detect
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does: before torch is loaded

import numpy as np
import torch

from reidgen.filters.detection.frames import Frame
from reidgen.models.detector.darknet import Darknet
from reidgen.models.detector.yolov4_tiny import yolov4_tiny_cfg

ROUNDS, BATCHES, CROP = 7, (1, 16), (128, 64)
GMAC = 3.45  # multiply-adds of one 416x416 picture, 1e9


def weight_file(network: Darknet) -> bytes:
    """Random weights that keep the maps near unit size."""
    rng = np.random.default_rng(0)
    parts = []
    for layer in network.convolutions:
        shape = layer.conv.weight.shape
        parts += [rng.normal(0, 0.1, layer.width)]
        if layer.batch_norm:
            parts += [rng.uniform(0.8, 1.2, layer.width), rng.normal(0, 0.1, layer.width), np.ones(layer.width)]
        parts.append(rng.normal(0, 1.3 / np.sqrt(np.prod(shape[1:])), shape).ravel())
    header = np.array([0, 2, 5], "<i4").tobytes() + np.array([0], "<i8").tobytes()
    return header + np.concatenate(parts).astype("<f4").tobytes()


def opencv(cfg: str, weights: bytes) -> Callable[[np.ndarray], np.ndarray]:
    import cv2

    cv2.setNumThreads(torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "net.cfg").write_text(cfg.replace("[yolo]\n", "[yolo]\nthresh=0.0\n"))
        (Path(folder) / "net.weights").write_bytes(weights)
        network = cv2.dnn.readNetFromDarknet(f"{folder}/net.cfg", f"{folder}/net.weights")
    names = network.getUnconnectedOutLayersNames()

    def run(images: np.ndarray) -> np.ndarray:
        network.setInput(images)
        return np.concatenate([np.reshape(p, (len(images), -1, p.shape[-1])) for p in network.forward(names)], axis=1)

    return run


def ours(cfg: str, weights: bytes) -> Callable[[np.ndarray], np.ndarray]:
    network = Darknet(cfg).eval()
    network.load_weights(weights)

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network.boxes(torch.from_numpy(images)).numpy()

    return run


def seconds(
    functions: dict[str, Callable[[np.ndarray], np.ndarray]], images: np.ndarray
) -> dict[str, list[list[float]]]:
    """Clock and processor time an image, in turns, so that other work on the machine meets both."""
    spent: dict[str, list[list[float]]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            clock, processor = time.perf_counter(), time.process_time()
            function(images)
            spent[name].append([time.perf_counter() - clock, time.process_time() - processor])
    return spent


def main() -> None:
    cfg = yolov4_tiny_cfg()
    weights = weight_file(Darknet(cfg))
    functions = {"reidgen": ours(cfg, weights), "OpenCV": opencv(cfg, weights)}
    rng = np.random.default_rng(0)
    print(f"YOLOv4-tiny, {torch.get_num_threads()} threads, ms a picture, best of {ROUNDS} in turns")
    for batch in BATCHES:
        images = rng.random((batch, 3, 416, 416), np.float32)
        a, b = (function(images) for function in functions.values())
        worst = np.abs(a[..., 5:] * a[..., 4:5] - b[..., 5:]).max()
        spent = seconds(functions, images)
        best = {name: np.min(times, axis=0) / batch * 1e3 for name, times in spent.items()}
        for which, name in enumerate(("clock", "processor")):
            mine, theirs = best["reidgen"][which], best["OpenCV"][which]
            print(f"batch {batch:2d}, {name}: {mine:.1f}, OpenCV {theirs:.1f}: {theirs / mine:.2f} times as long")
        print(f"batch {batch:2d}: scores equal to {worst:.1e}; {GMAC / best['reidgen'][0] * 1e3:.0f} GMAC/s")
    frame = Frame.around(CROP, (416, 416), padding=150, fit="stretch")
    crops = rng.integers(0, 256, (16, *CROP, 3)).astype(np.uint8)
    turns = seconds({"frame": lambda _: frame.pictures(crops, torch.device("cpu")).numpy()}, crops)["frame"]
    print(f"border and resize of a {CROP[0]}x{CROP[1]} crop: {min(turns)[0] / 16 * 1e3:.2f} ms")


if __name__ == "__main__":
    sys.exit(main())
