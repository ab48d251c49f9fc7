"""Weights that were trained elsewhere -> generator.safetensors, with the facts of where they came from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from reidgen.config import ConvertConfig, StyleGANConfig
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import load_weights
from reidgen.engine.foreign import module_tensors, read_foreign
from reidgen.engine.foreign.pickle_budget import Record, Refused
from reidgen.engine.foreign.pickle_machine import shown
from reidgen.engine.runs.records import write_checked
from reidgen.errors import WeightsError, option, say
from reidgen.files import file_sha256
from reidgen.generators.trained import TrainedGenerator, load_generator
from reidgen.generators.transfer.upstream import (
    Converted,
    Foreign,
    NoCounterpartError,
    convert_discriminator,
    convert_generator,
    generator_config,
)
from reidgen.generators.weights import FILE, KINDS, Part, write_generator

REPORT = "convert.json"
LICENCE = (
    "The licence of this network is that of the file it was converted from. NVIDIA's pretrained networks, and whatever "
    "is trained from them, may be used for research or evaluation only, not commercially (NVIDIA Source Code License, "
    "section 3.3), and be passed on only with that licence (section 3.1)."
)
# Where files keep the averaged generator, the one that is trained, and the discriminator.
_NAMES = {
    "ema": ("G_ema", "g_ema", "generator_ema"),
    "raw": ("G", "g", "generator"),
    "discriminator": ("D", "d", "discriminator"),
}


def convert_weights(weights: Path | str, config: ConvertConfig | None = None, *, out: Path | str) -> TrainedGenerator:
    """Convert a .pkl of NVIDIA's StyleGAN2-ADA or StyleGAN3, or a state dict with its names, without running it.

    Writes generator.safetensors, which every verb takes for a generator, and convert.json, which says what became of
    each tensor. The generator must be understood whole; a discriminator that is another one than ours is left out with
    the reason. Its facts say that nobody knows whom it has seen (`split` and `origins` are "unknown").

    Args:
        weights: The .pkl, .pt or .pth file.
        config: Which weights, in which number format; None takes the defaults.
        out: The run folder.

    Raises:
        WeightsError: The file is missing, damaged, asks for something else than tensors, or holds another network.
        RunError: The folder belongs to another run.
    """
    path, config = Path(weights), config or ConvertConfig()
    _check_foreign(path)
    inputs = {"weights": file_sha256(path)}
    with RunFolder.begin(out, stage="convert", config=config, inputs=inputs) as run:
        if not run.done:
            run.finish(_convert(run, path, config))
        say(LICENCE)
    return load_generator(run.path)


def _check_foreign(path: Path) -> None:
    """Raise `WeightsError` for a file that cannot be one of another program's."""
    if not path.is_file():
        read_foreign(path)
    with path.open("rb") as file:
        head, size = file.read(9), path.stat().st_size
    if head[8:] != b"{" or int.from_bytes(head[:8], "little") > size:
        return
    ours = load_weights(path)[1].get("kind") in KINDS
    raise WeightsError(
        f"{path} needs no conversion: it is a generator of reidgen." if ours else f"{path} is not converted.",
        got="a safetensors file, which holds no code",
        allowed="a .pkl, .pt or .pth file of another program",
        fix=f"{option(generator=path)}, or {option(transfer=path)}" if ours else "the file that it was made from",
    )


def _convert(run: RunFolder, path: Path, config: ConvertConfig) -> dict[str, Any]:
    """Write the files and return the run's summary."""
    try:
        content = read_foreign(path)
        generator = _network(content, config.weights)
        style = generator_config(generator)
        parts: dict[Part, Converted] = {"generator": convert_generator(generator, style)}
    except (NoCounterpartError, Refused) as error:
        raise WeightsError(
            f"{path} holds no generator that reidgen has.",
            got=str(error),
            allowed="an unconditional RGB generator of StyleGAN2 (skip architecture) or of StyleGAN3-T or -R",
            fix=f"another file; {option(weights='raw')} if it has only the generator without its average",
        ) from error
    reason = _discriminator(content, style, parts)
    facts = _facts(run, path, config, generator)
    tensors = {part: converted.tensors for part, converted in parts.items()}
    style = replace(style, save_dtype=config.save_dtype)
    write_checked(run.path / REPORT, {**facts["source"], **_report(parts, reason)})
    write_generator(run.path / FILE, tensors, config=style, training=facts)
    for line in _lines(style, parts, reason):
        say(line)
    return {**facts, "network": style.network, "size": list(style.size), "weights": file_sha256(run.path / FILE)}


def _facts(run: RunFolder, path: Path, config: ConvertConfig, generator: Foreign) -> dict[str, Any]:
    """Facts of the training, as far as the file tells: not whom the network has seen."""
    return {
        "split": "unknown",
        "images": None,
        "table": None,
        "origins": ["unknown"],
        "kimg": None,
        "parent": None,
        "ancestors": [],
        "source": {"file": path.name, "sha256": run.record["inputs"]["weights"], "taken": config.weights},
        "licence": LICENCE,
    }


def _network(content: Any, which: str) -> Foreign:
    """The network of a role in a file: in a dict under one of its usual names, or the whole file.

    Raises:
        NoCounterpartError: There is none.
        Refused: It is not a network.
    """
    if isinstance(content, Record) or _is_state_dict(content):
        if which == "discriminator":
            raise NoCounterpartError("the file holds one network only")
        return _foreign(content)
    if not isinstance(content, dict):
        raise NoCounterpartError(f"a value of type {type(content).__name__}")
    found = [content[name] for name in _NAMES[which] if content.get(name) is not None]
    if not found:
        listed = ", ".join(shown(str(name)) for name in list(content)[:8])
        raise NoCounterpartError(f"no {' or '.join(_NAMES[which])} in it, but {listed or 'nothing'}")
    return _foreign(found[0])


def _foreign(value: Any) -> Foreign:
    if isinstance(value, Record):
        options = value.state.get("_init_kwargs", {})
        return Foreign(module_tensors(value), options if isinstance(options, dict) else {})
    if _is_state_dict(value):
        return Foreign(value)
    raise NoCounterpartError(f"a value of type {type(value).__name__} where a network should be")


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def _discriminator(content: Any, style: StyleGANConfig, parts: dict[Part, Converted]) -> str | None:
    """Add the discriminator to the parts, or return why it is left out."""
    try:
        parts["discriminator"] = convert_discriminator(_network(content, "discriminator"), style)
    except (NoCounterpartError, Refused) as error:
        return str(error)
    return None


def _report(parts: dict[Part, Converted], reason: str | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        part: {"copied": one.names, "constants": one.constants, "to_float32": one.widened}
        for part, one in parts.items()
    }
    return said if reason is None else {**said, "discriminator": {"left_out": reason}}


def _lines(style: StyleGANConfig, parts: dict[Part, Converted], reason: str | None) -> list[str]:
    lines = [
        f"convert, {part}: {len(one.names)} tensors copied, {len(one.constants)} filters equal to ours and left out"
        + (f", {len(one.widened)} tensors brought to float32" if one.widened else "")
        for part, one in parts.items()
    ]
    if reason is not None:
        lines.append(
            f"convert, discriminator: left out: {reason}; a training that starts from this file begins with a new one"
        )
    height, width = style.size
    lines.append(
        f"network: {style.network}, {height}x{width}, z {style.z_dim}, w {style.w_dim}, {style.mapping_layers} mapping "
        f"layers, {option(channel_base=style.channel_base)} {option(channel_max=style.channel_max)}"
    )
    return lines
