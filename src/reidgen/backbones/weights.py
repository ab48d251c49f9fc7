"""Where a backbone's weights come from: torchvision's ImageNet file, a file with its names, a re-ID run, or chance."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from reidgen.backbones.clip import VISUAL, clip_file, image_encoder
from reidgen.backbones.timm_backbone import TimmBackbone
from reidgen.config.reid.backbone import IBN, BackboneConfig
from reidgen.engine.cache import cache_folder
from reidgen.engine.download import download
from reidgen.engine.foreign.state_dicts import read_weights
from reidgen.engine.opening import check_numbers
from reidgen.errors import WeightsError, command, option
from reidgen.files import file_sha256, write_bytes
from reidgen.models.reid.clip import ClipBackbone
from reidgen.models.resnet import ResNet

Backbone = ResNet | TimmBackbone | ClipBackbone
NAMES = ("imagenet", "openai", "random")
TRAINED = "reid.safetensors"  # of train-reid, in its run folder
SHIPPED_REID = Path(__file__).parents[1] / "assets" / "reid" / TRAINED  # it has learned from rendered people alone
# torchvision's IMAGENET1K_V1 files, and those of IBN-Net's authors; each name ends with the first digits of the file's
# SHA-256.
SITE = "https://download.pytorch.org/models/"
IBN_SITE = "https://github.com/XingangPan/IBN-Net/releases/download/v1.0/"
IMAGENET = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet18_ibn": "resnet18_ibn_a-2f571257.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet34_ibn": "resnet34_ibn_a-94bc1577.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet50_ibn": "resnet50_ibn_a-d9d0bb7b.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
    "vgg16": "vgg16-397923af.pth",
}
CLASSIFIER = "classifier."  # of the latter two, whose numbers are nearly all there: not kept
# Residual networks by the blocks of their third stage, whether those have three convolutions, and IBN.
DEPTHS = {
    "resnet18": (2, False, False),
    "resnet18_ibn": (2, False, True),
    "resnet34": (6, False, False),
    "resnet34_ibn": (6, False, True),
    "resnet50": (6, True, False),
    "resnet50_ibn": (6, True, True),
    "resnet101": (23, True, False),
    "resnet152": (36, True, False),
}


def weights_hash(weights: str) -> str:
    """What a run depends on: SHA-256 of a weight file, and the names "imagenet", "openai" and "random" as they are.

    Raises:
        WeightsError: The file does not exist.
    """
    if weights in NAMES:
        return weights
    path = _file(weights)
    if not path.is_file():
        raise WeightsError(
            f"There is no weight file {path}.",
            allowed="imagenet, openai, random, the path of a weight file, or the finished run folder of train-reid",
            fix=option(weights="imagenet"),
        )
    return file_sha256(path)


def load_backbone(network: Backbone, config: BackboneConfig) -> str:
    """Fill the backbone with the weights that the config names; "random" leaves it as it is.

    Non-local blocks, and the normalisations that IBN puts in the place of others, start as they are where the file
    knows neither.

    Returns:
        One sentence that says what was loaded and what was left out.

    Raises:
        WeightsError: The file cannot be had or read, is of another network, or of the other stride layout.
    """
    if config.weights == "random":
        return "The backbone starts from random weights."
    if isinstance(network, TimmBackbone):
        return _load_timm(network, config)
    if isinstance(network, ClipBackbone):
        return _load_clip(network, config)
    path = imagenet_file(config.backbone) if config.weights == "imagenet" else _file(config.weights)
    tensors, metadata = _backbone_of(*read_weights(path))
    _check_layout(path, metadata, config)
    skipped = copy_weights(network, tensors, path)
    names = ", ".join(skipped) if len(skipped) < 5 else f"{len(skipped)} tensors"
    left_out = f"; {names} of the file are not used" if skipped else ""
    new = _beside_torchvision(network) - set(tensors)
    started = f"; {len(new)} tensors of non-local blocks or IBN are new" if new else ""
    return f"The backbone starts from {path.name}: {len(tensors) - len(skipped)} tensors{left_out}{started}."


def _load_timm(network: TimmBackbone, config: BackboneConfig) -> str:
    if config.weights == "imagenet":
        return f"The backbone starts from {network.load_pretrained()}."
    path = _file(config.weights)
    tensors, _ = _backbone_of(*read_weights(path))
    classifier = network.net.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{name}." for name in ([classifier] if isinstance(classifier, str) else classifier))
    skipped = copy_weights(network.net, tensors, path, heads=heads, names=f"timm's {network.name}")
    return f"The backbone starts from {path.name}: {len(tensors) - len(skipped)} tensors."


def _load_clip(network: ClipBackbone, config: BackboneConfig) -> str:
    path = clip_file(config.backbone) if config.weights == "openai" else _file(config.weights)
    tensors = image_encoder(_backbone_of(*read_weights(path))[0])
    copy_weights(network, tensors, path, heads=(), names=f"OpenAI's {config.backbone}, with {VISUAL} or without")
    return f"The backbone starts from {path.name}: {len(tensors)} tensors."


def _file(weights: str) -> Path:
    """The file that is meant: of a run folder the trained network."""
    return Path(weights) / TRAINED if Path(weights).is_dir() else Path(weights)


def _backbone_of(
    tensors: dict[str, torch.Tensor], metadata: dict[str, str]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Of a file of train-reid the backbone alone, under torchvision's names; other files as they are."""
    trained = _trained_config(metadata)
    if trained is None:
        return tensors, metadata
    layout = {"stride_in_1x1": "true" if trained.get("stride_in") == "1x1" else "false"}
    start = "backbone."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}, layout


def _trained_config(metadata: dict[str, str]) -> dict[str, Any] | None:
    return _description(metadata).get("reid")


def description_of(weights: str) -> dict[str, Any]:
    """What a re-ID training has written into a file of weights about itself; empty of all other files and names.

    Raises:
        WeightsError: The file cannot be read.
    """
    return {} if weights in NAMES else _description(read_weights(_file(weights))[1])


def _description(metadata: dict[str, str]) -> dict[str, Any]:
    try:
        known = json.loads(metadata.get("config", "{}"))
    except (ValueError, RecursionError):  # another program's idea of the same word
        return {}
    return known if isinstance(known, dict) and isinstance(known.get("reid"), dict) else {}


def _beside_torchvision(network: nn.Module) -> set[str]:
    """The names of a residual network that torchvision's has not."""
    names = network.state_dict() if isinstance(network, ResNet) else {}
    return {name for name in names if name.startswith("attention.") or ".IN." in name or ".BN." in name}


def copy_weights(
    network: nn.Module,
    tensors: dict[str, torch.Tensor],
    path: Path,
    *,
    heads: tuple[str, ...] = ("fc.", CLASSIFIER),
    names: str = "torchvision's network of this depth",
) -> list[str]:
    """Copy tensors of torchvision's names into the backbone; half precision is widened.

    Args:
        network: The backbone.
        tensors: The file's.
        path: The file, for errors.
        heads: What the names of its classifier begin with; torchvision's and torchreid's unless told.
        names: Whose names and shapes are asked for, in words.

    Returns:
        The names that were left out: the classifier's, and for IBN those that its normalisations stand for.

    Raises:
        WeightsError: A tensor is missing, unknown, of another shape, or not finite.
    """
    own = network.state_dict()
    beside = _beside_torchvision(network)
    stood_for = {name.replace(".BN.", ".") for name in beside} - set(own)
    plain = not beside & set(tensors)  # a file of torchvision's network, which has none of them
    skipped = [name for name in tensors if name.startswith(heads) or (plain and name in stood_for)]
    unknown = [name for name in tensors if name not in own and name not in skipped]
    # A counter that only averages without momentum use; files of other origins leave it out.
    may_lack = {name for name in own if name.endswith("num_batches_tracked")} | (beside if plain else set())
    missing = [name for name in own if name not in tensors and name not in may_lack]
    shapes = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    faults = {"missing": missing, "unknown": unknown, "shape": shapes}
    told = [f"{len(names)} {kind}: {', '.join(names[:3])}" for kind, names in faults.items() if names]
    if told:
        raise WeightsError(
            f"{path} does not fit the network.",
            got="; ".join(told),
            allowed=f"the names and shapes of {names}",
            fix=_fix(tensors),
        )
    used = {name: tensors[name].to(own[name].dtype) for name in own if name in tensors}
    check_numbers(used, path, fix=f"another file, or {option(weights='imagenet')}")
    network.load_state_dict({**own, **used})
    return skipped


def _fix(tensors: dict[str, torch.Tensor]) -> str:
    """What to type for a file that is of another network: residual networks are known by their blocks."""
    bare = image_encoder(tensors)
    clip = {"attnpool.positional_embedding": "clip-resnet50", "class_embedding": "clip-vit-b16"}
    if (known := next((network for name, network in clip.items() if name in bare), None)) is not None:
        return f"{option(backbone=known)}, if it is one of OpenAI's"
    blocks = len({name.split(".")[1] for name in tensors if name.startswith("layer3.")})
    bottleneck = "layer1.0.conv3.weight" in tensors
    ibn = "layer1.0.bn1.IN.weight" in tensors
    found = next((name for name, known in DEPTHS.items() if known == (blocks, bottleneck, ibn)), None)
    if found is None:
        return f"a file of torchvision's names, of one of the backbones that {option('backbone')} names"
    if found not in IMAGENET:
        return f"another file; this is a {found}, which is not a {option('backbone')}"
    width = len(tensors["conv1.weight"]) if "conv1.weight" in tensors else 64
    return option(backbone=found) + (f" and {option(base_width=width)}" if width != 64 else "")


def imagenet_file(backbone: str, *, fix: str = option(weights="FILE.safetensors")) -> Path:
    """The ImageNet weights as .safetensors in the cache folder; downloaded and converted the first time.

    Args:
        backbone: Name of the network.
        fix: What else the user may type.

    Raises:
        WeightsError: The file is not there and cannot be downloaded, or is not the one that its name says.
    """
    name, site = IMAGENET[backbone], IBN_SITE if backbone.endswith(IBN) else SITE
    folder = cache_folder() / "weights"
    ours, theirs = folder / f"{Path(name).stem}.safetensors", folder / name
    if ours.is_file():
        return ours
    if not theirs.is_file():
        download(site + name, theirs, what="The ImageNet weights", fix=fix)
    digits = Path(name).stem.rpartition("-")[2]
    if not (found := file_sha256(theirs)).startswith(digits):
        raise WeightsError(
            f"{theirs} is not torchvision's file.",
            got=f"SHA-256 {found[:16]}...",
            allowed=f"SHA-256 {digits}...",
            fix=f"{command('rm', theirs)}, then the same command again",
        )
    metadata = {"stride_in_1x1": "false", "source": site + name}
    kept = {name: value for name, value in read_weights(theirs)[0].items() if not name.startswith(CLASSIFIER)}
    write_bytes(ours, save(kept, metadata=metadata))
    theirs.unlink()
    return ours


def _check_layout(path: Path, metadata: dict[str, str], config: BackboneConfig) -> None:
    """Files of both layouts have the same names and shapes, so only the metadata can tell; without it we trust."""
    declared = metadata.get("stride_in_1x1")
    if declared is None:
        return
    stride_in = "1x1" if declared == "true" else "3x3"
    if stride_in != config.stride_in:
        raise WeightsError(
            f"{path} is of the other stride layout.",
            got=f"a network whose stride is on the {stride_in} convolution, and {option(stride_in=config.stride_in)}",
            allowed=option(stride_in=stride_in),
            fix=option(stride_in=stride_in),
        )
