"""Starting a training from another generator, with a report of what was copied and what was not."""

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from reidgen.config import StyleGANConfig
from reidgen.errors import WeightsError
from reidgen.generators.weights import SHAPE_FIELDS, GeneratorFile, Part, style_config


@dataclass(frozen=True)
class TransferReport:
    """What became of each tensor of one network.

    Attributes:
        copied: Names of tensors that were taken over.
        skipped: Name -> reason, for tensors of the file that found no place.
        new: Names of tensors that keep their random start.
        values: Numbers copied and in the network.
    """

    copied: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    values: tuple[int, int] = (0, 0)

    def line(self, part: str) -> str:
        """One line for people."""
        share = 100 * self.values[0] / max(self.values[1], 1)
        return (
            f"transfer, {part}: {len(self.copied)} tensors copied ({share:.1f} % of the values), "
            f"{len(self.skipped)} skipped, {len(self.new)} start at random"
        )


def transfer(
    source: GeneratorFile, config: StyleGANConfig, networks: dict[Part, nn.Module]
) -> dict[Part, TransferReport]:
    """Copy what fits from a weight file into networks, part by part.

    A tensor's name says its resolution and its role (`synthesis.blocks.32.plain.conv.weight`), so tensors of equal name
    mean the same whatever the size of the image. Tensors of another shape are never cut or padded: they are skipped.

    Args:
        source: The file to start from.
        config: Of the new training.
        networks: The networks to fill.

    Raises:
        WeightsError: The architectures are equal and yet a tensor has no counterpart, or no layer could be copied, or
            the file is a DCGAN's.
    """
    own = style_config(source)
    reports = {part: _copy(source.parts[part], network) for part, network in networks.items()}
    same = all(getattr(own, name) == getattr(config, name) for name in SHAPE_FIELDS)
    for part, report in reports.items():
        if same and (report.skipped or report.new):
            name = next(iter([*report.skipped, *report.new]))
            raise WeightsError(
                f"{source.path} has the {part}'s architecture but not all of its tensors.",
                got=f"{name}: {report.skipped.get(name, 'not in the file')}",
                allowed="a whole file written by reidgen train-generator",
            )
    if not any(name.endswith("weight") for report in reports.values() for name in report.copied):
        raise WeightsError(
            f"Nothing in {source.path} fits this network.",
            got=_shape_text(own),
            allowed=_shape_text(config),
            fix=_options(own),
        )
    return reports


def as_json(source: GeneratorFile, reports: dict[Part, TransferReport]) -> dict[str, Any]:
    """The content of transfer.json."""
    return {
        "parent": source.hash,
        "parent_training": source.training,
        **{part: asdict(r) for part, r in reports.items()},
    }


@torch.no_grad()
def _copy(tensors: dict[str, Tensor], network: nn.Module) -> TransferReport:
    own = network.state_dict()
    copied, skipped = [], {}
    for name, value in tensors.items():
        if name not in own:
            skipped[name] = "this network has no such layer"
        elif own[name].shape != value.shape:
            skipped[name] = f"shape {tuple(value.shape)} in the file, {tuple(own[name].shape)} here"
        else:
            own[name].copy_(value)
            copied.append(name)
    new = [name for name in own if name not in set(copied)]
    values = (sum(own[name].numel() for name in copied), sum(value.numel() for value in own.values()))
    return TransferReport(copied, skipped, new, values)


def _shape_text(config: StyleGANConfig) -> str:
    return ", ".join(f"{name} {getattr(config, name)}" for name in SHAPE_FIELDS)


def _options(config: StyleGANConfig) -> str:
    values = ((name, getattr(config, name)) for name in SHAPE_FIELDS)
    texts = ((name, " ".join(map(str, value)) if isinstance(value, tuple) else value) for name, value in values)
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in texts)
