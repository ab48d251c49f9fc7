"""generator.safetensors: the averaged generator, the discriminator, and the facts of their training, in one file."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, overload

import torch
from torch import Tensor

from reidgen.config import DCGANConfig, GeneratorConfig, StyleGANConfig, as_dict
from reidgen.config.generators import Network
from reidgen.engine.checkpoint import load_weights, save_weights
from reidgen.engine.foreign.pickle_machine import shown
from reidgen.engine.opening import config_of, field_of, open_network
from reidgen.engine.runs.run import read_run
from reidgen.errors import ConfigError, WeightsError, command, option
from reidgen.files import file_sha256
from reidgen.models import dcgan, stylegan2, stylegan3
from reidgen.models.stylegan.discriminator import Discriminator
from reidgen.models.stylegan.generator import GeneratorNetwork

FILE = "generator.safetensors"
FOREIGN = (".pkl", ".pt", ".pth")
Part = Literal["generator", "discriminator"]
DCGAN = "dcgan"
KINDS = (*get_args(Network), DCGAN)
FACTS: dict[str, Any] = {"split": str, "images": int | None, "table": str | None, "origins": list[str]}
FACTS |= {"kimg": float | None, "licence": str | None}
SHAPE_FIELDS = ("network", "size", "z_dim", "w_dim", "mapping_layers", "layers", "channel_base", "channel_max")


@dataclass(frozen=True)
class GeneratorFile:
    """What a generator's weight file holds.

    Attributes:
        path: The file.
        hash: SHA-256 of the file.
        config: Of the training that made it.
        training: Facts of that training: split, images, table's hash, kimg, parent's hash.
        parts: Tensors of the generator and of the discriminator, in float32.
    """

    path: Path
    hash: str
    config: GeneratorConfig
    training: dict[str, Any]
    parts: dict[Part, dict[str, Tensor]]


def build_generator(config: GeneratorConfig) -> GeneratorNetwork:
    """The generator of a config, with random weights; StyleGAN3-R has twice the channels that the config says."""
    if isinstance(config, DCGANConfig):
        return dcgan.Generator(config.z_dim, size=config.size, width=config.width)
    if config.network != "stylegan2":
        double = 2 if config.network == "stylegan3-r" else 1
        return stylegan3.Generator(
            config.z_dim,
            config.w_dim,
            size=config.size,
            config="r" if config.network == "stylegan3-r" else "t",
            channel_base=double * config.channel_base,
            channel_max=double * config.channel_max,
            mapping_layers=config.mapping_layers,
            layers=config.layers,
        )
    return stylegan2.Generator(
        config.z_dim,
        config.w_dim,
        size=config.size,
        channel_base=config.channel_base,
        channel_max=config.channel_max,
        mapping_layers=config.mapping_layers,
    )


@overload
def build_discriminator(config: StyleGANConfig) -> Discriminator: ...
@overload
def build_discriminator(config: DCGANConfig) -> dcgan.Discriminator: ...
def build_discriminator(config: GeneratorConfig) -> Discriminator | dcgan.Discriminator:
    """The discriminator of a config, with random weights."""
    if isinstance(config, DCGANConfig):
        return dcgan.Discriminator(config.size, width=config.width)
    return Discriminator(config.size, channel_base=config.channel_base, channel_max=config.channel_max)


def write_generator(
    path: Path, parts: dict[Part, dict[str, Tensor]], *, config: GeneratorConfig, training: dict[str, Any]
) -> None:
    """Write the parts' tensors in `config.save_dtype`, with the config and the facts of the training as metadata."""
    dtype = {"float32": torch.float32, "float16": torch.float16}[config.save_dtype]
    tensors = {f"{part}.{name}": value for part, weights in parts.items() for name, value in weights.items()}
    numbers = {name: value.to(dtype) for name, value in tensors.items() if value.is_floating_point()}
    largest = max(tensors[name].abs().max().item() for name in numbers)
    if largest > torch.finfo(dtype).max:
        raise ConfigError(
            "The weights do not fit the number format of the file.",
            got=f"{option(save_dtype=config.save_dtype)}, a weight of {largest:.3g}",
            allowed=f"weights up to {torch.finfo(dtype).max:g}",
            fix=option(save_dtype="float32"),
        )
    kind, key = (DCGAN, DCGAN) if isinstance(config, DCGANConfig) else (config.network, "stylegan")
    save_weights(path, {**tensors, **numbers}, config={"kind": kind, key: as_dict(config), "training": training})


def find_generator(path: Path | str) -> Path:
    """The weight file that a path means: the file itself, or the generator.safetensors of a run folder.

    Raises:
        WeightsError: There is no such file.
        RunError: The folder's training is not finished.
    """
    path = Path(path)
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        if path.is_dir() and (path / "run.json").is_file():
            stage = read_run(path)["stage"]
            got, fix = f"a run of {stage}", "the folder of a train-generator"
        else:
            got, fix = "nothing there", "reidgen train-generator --data DIR --out DIR"
        raise WeightsError(
            f"There is no {file}.",
            got=got,
            allowed="the folder of a finished train-generator, or a generator's .safetensors file",
            fix=fix,
        )
    if file.suffix in FOREIGN:
        raise WeightsError(
            f"{file} is a weight file of another program, and may hold code.",
            got=file.suffix,
            allowed="the folder of a finished train-generator, or a generator's .safetensors file",
            fix=f"{command('reidgen', 'convert', file)} --out DIR, which runs nothing that is in it",
        )
    return file


def read_generator(path: Path | str) -> GeneratorFile:
    """Read a weight file, or the one of a run folder.

    Raises:
        WeightsError: It is missing, damaged, or holds another network.
    """
    file = find_generator(path)
    tensors, metadata = load_weights(file)
    if metadata.get("kind") not in KINDS:
        raise WeightsError(
            f"{file} holds no generator of reidgen.",
            got=f"kind {shown(str(metadata.get('kind', 'not given')))}",
            allowed=f"kind {', '.join(KINDS)}",
            fix="a file that reidgen train-generator wrote",
        )
    parts: dict[Part, dict[str, Tensor]] = {"generator": {}, "discriminator": {}}
    for name, value in tensors.items():
        for part, weights in parts.items():
            if name.startswith(f"{part}."):
                weights[name.removeprefix(f"{part}.")] = value.float() if value.is_floating_point() else value
    config = _config(file, metadata)
    return GeneratorFile(file, file_sha256(file), config, _facts(file, metadata), parts)


def with_shape_of(path: Path | str, config: StyleGANConfig) -> StyleGANConfig:
    """A config with the network of a weight file (size, widths, channels) and everything else as given."""
    file = read_generator(path)
    shape = style_config(file)
    open_network(lambda: build_generator(shape), file.parts["generator"], file.path)  # before one is trained like it
    return dataclasses.replace(config, **{name: getattr(shape, name) for name in SHAPE_FIELDS})


def style_config(file: GeneratorFile) -> StyleGANConfig:
    """The config of a style generator's file.

    Raises:
        WeightsError: It is a DCGAN's.
    """
    if isinstance(file.config, StyleGANConfig):
        return file.config
    raise WeightsError(
        f"A style generator cannot start from {file.path}.",
        got=f"kind {DCGAN}, whose layers have no counterpart",
        allowed=f"kind {', '.join(get_args(Network))}",
        fix=f"{option('transfer')} with the run folder of a style generator",
    )


def _facts(file: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """The facts of the training and of those before it, checked as far as others read them."""
    training: dict[str, Any] = field_of(metadata, "training", dict, file)
    for facts in (*field_of({"ancestors": [], **training}, "ancestors", list[dict], file), training):
        for name, hint in FACTS.items():
            if name in facts or facts.get("table"):  # which crops are known, so must be the rest
                field_of(facts, name, hint, file)
    return training


def _config(file: Path, metadata: dict[str, Any]) -> GeneratorConfig:
    if metadata["kind"] == DCGAN:
        return config_of(DCGANConfig, metadata.get(DCGAN), file)
    return config_of(StyleGANConfig, metadata.get("stylegan"), file)
