"""A re-ID network as one ONNX file, for programs that have neither reidgen nor torch."""

import copy
import importlib
import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reidgen.backbones.reid_model import Flip, ReidModel
from reidgen.config import ExportConfig
from reidgen.data.augment import IMAGENET_MEAN, IMAGENET_STD
from reidgen.engine import RunFolder
from reidgen.errors import WeightsError, importing
from reidgen.files import write_bytes, write_json
from reidgen.models.reid.embedder import Embedder

FILE, FACTS = "reid.onnx", "reid.json"
OPSET = 18
CHECKED_BATCHES = (1, 2, 7)
TOLERANCE = 1e-4  # of the largest number of an embedding
NEEDED = ("onnx", "onnxscript", "onnxruntime")


class _Embedding(nn.Module):
    """Crops to embeddings, and nothing else."""

    def __init__(self, network: Embedder, flip: Flip) -> None:
        super().__init__()
        self.network, self.flip = network, flip

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, D)."""
        embedding = self.network(images).embedding
        return embedding + self.network(images.flip(3)).embedding if self.flip == "sum" else embedding


def export_onnx(model: ReidModel, config: ExportConfig = ExportConfig(), *, out: Path | str) -> Path:
    """Write reid.onnx and, in words and numbers, reid.json, which is also the metadata in the file.

    Input "images": float32 (N, 3, H, W), any N: RGB crops resized to (H, W) by bicubic interpolation with antialiasing,
    from 0 to 1, less the mean, over the deviation of ImageNet. Output "embedding": float32 (N, D), not of length 1.
    Before it is written the file is run by onnxruntime on random crops, 1, 2 and 7 at a time.

    Args:
        model: The network.
        config: Whether mirror images are added.
        out: The run folder.

    Returns:
        The path of reid.onnx.

    Raises:
        MissingExtraError: The extra `onnx` is not installed.
        ConfigError: A package of it is there and cannot be imported.
        WeightsError: The network cannot be exported, or onnxruntime's embeddings differ by more than 1e-4.
        RunError: The folder belongs to another run.
    """
    if config.flip == "recipe":
        config = replace(config, flip=model.config.test_flip)
    with RunFolder.begin(out, stage="export", config=config, inputs={"model": model.hash}) as run:
        if not run.done:
            _check_installed()
            facts = describe(model, config)
            content = onnx_bytes(model, config, facts)
            worst = largest_difference(content, model, config)
            if not worst <= TOLERANCE:  # also where it is not a number
                raise WeightsError(
                    "onnxruntime says something else than the network.",
                    got=f"a difference of {worst:.1e} of the largest number of an embedding",
                    allowed=f"{TOLERANCE:g}",
                    fix="another version of onnx and onnxruntime (constraints.txt has the tested ones)",
                )
            write_json(run.path / FACTS, facts)
            write_bytes(run.path / FILE, content)
            run.finish({"largest_difference": worst, **facts})
    return run.path / FILE


def describe(model: ReidModel, config: ExportConfig) -> dict[str, Any]:
    """What somebody needs to know who has the file alone."""
    height, width = model.config.size
    return {
        "input": f"images: float32 (N, 3, {height}, {width}), RGB from 0 to 1, less mean, over std; any N",
        "output": f"embedding: float32 (N, {model.network.width}), not of length 1",
        "resize": "bicubic with antialiasing, without keeping the aspect",
        "height": height,
        "width": width,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "embedding": model.network.width,
        "flip": config.flip,
        "metric": model.config.test_metric,
        "backbone": model.config.backbone,
        "people": len(model.pids),
        "weights": model.hash,
    }


def onnx_bytes(model: ReidModel, config: ExportConfig, facts: dict[str, Any]) -> bytes:
    """The content of the ONNX file."""
    network = _network(model, config)
    example = torch.zeros(2, 3, *model.config.size)
    try:
        with warnings.catch_warnings(), _Quiet():
            warnings.simplefilter("ignore")  # the exporter's own, about its dependencies
            program = torch.onnx.export(
                network,
                (example,),
                input_names=["images"],
                output_names=["embedding"],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise WeightsError(
            "The network cannot be written as ONNX.",
            got=str(error).splitlines()[0],
            allowed="a network whose operations ONNX has",
            fix="a backbone of reidgen's own",
        ) from error
    assert program is not None, "dynamo=True returns a program"
    proto = program.model_proto
    _forget_origins(proto)
    for key, value in {**facts, "reidgen": "re-ID embedding"}.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value if isinstance(value, str) else json.dumps(value)
    return proto.SerializeToString(deterministic=True)


def largest_difference(content: bytes, model: ReidModel, config: ExportConfig) -> float:
    """Largest difference of an embedding by onnxruntime to the network's, over the largest number of an embedding."""
    import onnxruntime

    network = _network(model, config)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    random, found = torch.Generator().manual_seed(config.seed), []
    for count in CHECKED_BATCHES:
        images = torch.randn(count, 3, *model.config.size, generator=random)
        with torch.inference_mode():
            expected = network(images).numpy()
        _check_finite(expected)
        (embeddings,) = session.run(["embedding"], {"images": images.numpy()})
        found.append(np.abs(embeddings - expected).max() / np.abs(expected).max())
    return float(np.max(found))  # which keeps a NaN


def _check_finite(embeddings: np.ndarray) -> None:
    if not np.isfinite(embeddings).all():
        raise WeightsError(
            "The network's embeddings of random crops are not finite.",
            got=f"{embeddings[~np.isfinite(embeddings)][0]}",
            allowed="finite numbers",
            fix="look for a training that diverged: its loss is in metrics.jsonl",
        )


def _network(model: ReidModel, config: ExportConfig) -> _Embedding:
    assert config.flip != "recipe", "export_onnx has asked the network"
    return _Embedding(copy.deepcopy(model.network), config.flip).cpu().eval()  # the caller's stays where it is


def _forget_origins(proto: Any) -> None:
    """Take out what the exporter notes of each node: paths and lines of the program that it ran in."""
    proto.producer_name, proto.producer_version, proto.doc_string = "reidgen", "", ""
    for graph in (proto.graph, *proto.functions):
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]


class _Quiet:
    """The exporter's log, which speaks of optional packages, not shown."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)


def _check_installed() -> None:
    for name in NEEDED:
        with importing(name, extra="onnx", purpose="reidgen export"):
            importlib.import_module(name)
