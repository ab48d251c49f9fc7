"""Darknet files with random weights, scaled so that boxes and scores differ from each other."""

import numpy as np

from reidgen.models.detector.darknet import Darknet


def weight_bytes(cfg, *, seed=0, version=(0, 2, 5)):
    """The content of a .weights file for a cfg."""
    rng = np.random.default_rng(seed)
    parts = []
    for layer in Darknet(cfg).convolutions:
        width, shape = layer.width, tuple(layer.conv.weight.shape)
        fan = np.prod(shape[1:])
        if layer.batch_norm:
            parts += [rng.normal(0, 0.1, width), rng.uniform(0.8, 1.2, width)]
            parts += [rng.normal(0, 0.1, width), rng.uniform(0.5, 1.5, width)]
            parts.append(rng.normal(0, 1.3 / np.sqrt(fan), shape).ravel())
        else:
            parts += [rng.normal(0, 0.5, width), rng.normal(0, 1.5 / np.sqrt(fan), shape).ravel()]
    seen = np.array([7], "<i8" if version[0] * 10 + version[1] >= 2 else "<i4")
    return np.array(version, "<i4").tobytes() + seen.tobytes() + np.concatenate(parts).astype("<f4").tobytes()


def write_darknet(folder, cfg, *, name="net", seed=0):
    """Write NAME.cfg and NAME.weights; returns the path of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.cfg").write_text(cfg)
    path = folder / f"{name}.weights"
    path.write_bytes(weight_bytes(cfg, seed=seed))
    return path


def small_cfg(*, classes=3, size=(64, 64)):
    """A detector of a few layers."""
    return f"""
[net]
height={size[0]}
width={size[1]}
[convolutional]
batch_normalize=1
filters=8
size=3
stride=4
pad=1
activation=leaky
[convolutional]
filters={2 * (5 + classes)}
size=3
stride=4
pad=1
activation=linear
[yolo]
mask=0,1
anchors=20,40, 40,60, 10,10
classes={classes}
num=3
"""
