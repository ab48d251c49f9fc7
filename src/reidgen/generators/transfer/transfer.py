"""Starting a training from another generator, whatever its size, with a report of what became of each tensor."""

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from reidgen.config import StyleGANConfig
from reidgen.errors import WeightsError, option
from reidgen.generators.transfer.growth import HALVING, QUIET, halve_first, quiet_colours
from reidgen.generators.transfer.order import sort_channels
from reidgen.generators.transfer.roles import move
from reidgen.generators.weights import SHAPE_FIELDS, GeneratorFile, Part, style_config
from reidgen.models.stylegan.discriminator import Discriminator

RANDOM = "random"


@dataclass(frozen=True)
class TransferReport:
    """What became of each tensor of one network.

    Attributes:
        copied: Names of tensors that were taken over as they are.
        resized: Name -> how, for tensors that were brought to another shape.
        skipped: Name -> reason, for tensors of the file that found no place.
        new: Name -> how it starts, for tensors that nothing was taken over for.
        values: Numbers taken over, and numbers in the network.
    """

    copied: list[str] = field(default_factory=list)
    resized: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    values: tuple[int, int] = (0, 0)

    def line(self, part: str) -> str:
        """One line for people."""
        share = 100 * self.values[0] / max(self.values[1], 1)
        return (
            f"transfer, {part}: {len(self.copied)} tensors copied, {len(self.resized)} resized ({share:.1f} % of the "
            f"values), {len(self.skipped)} skipped, {len(self.new)} new"
        )


def transfer(
    source: GeneratorFile, config: StyleGANConfig, networks: dict[Part, nn.Module]
) -> dict[Part, TransferReport]:
    """Move what carries over from a weight file into networks of another size, part by part.

    A tensor's name says what it does (`synthesis.blocks.32.plain.conv.weight`; StyleGAN3's layers are named by their
    index, whatever their sampling rate), so tensors of equal name mean the same in networks of other sizes, aspects,
    widths and numbers of channels. Where their shapes differ, the common channels are moved
    (module `roles`). In networks taller than the file's, the new blocks begin as a change of resolution (module
    `growth`). A file without a discriminator leaves that one at its random start.

    Args:
        source: The file to start from.
        config: Of the new training.
        networks: The networks to fill.

    Raises:
        WeightsError: The architectures are equal and yet a tensor has no counterpart, or nothing of the generator could
            be moved, or the file is a DCGAN's.
    """
    own = style_config(source)
    reports = {part: _move(source.parts[part], network, own, config) for part, network in networks.items()}
    same = all(getattr(own, name) == getattr(config, name) for name in SHAPE_FIELDS)
    for part, report in reports.items():
        if same and source.parts[part] and (report.skipped or report.new):
            name = next(iter([*report.skipped, *report.new]))
            raise WeightsError(
                f"{source.path} has the {part}'s architecture but not all of its tensors.",
                got=f"{name}: {report.skipped.get(name, 'not in the file')}",
                allowed="a whole file written by reidgen train-generator or convert",
            )
    moved = [*reports["generator"].copied, *reports["generator"].resized] if "generator" in reports else []
    if not any(name.endswith("weight") for name in moved):
        raise WeightsError(
            f"Nothing in {source.path} fits this network.",
            got=_shape_text(own),
            allowed=_shape_text(config),
            fix=" ".join(option(**{name: getattr(own, name)}) for name in SHAPE_FIELDS),
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
def _move(
    tensors: dict[str, Tensor], network: nn.Module, before: StyleGANConfig, after: StyleGANConfig
) -> TransferReport:
    own = network.state_dict()
    report = TransferReport(values=(0, sum(value.numel() for value in own.values())))
    taken = 0
    for name, value in sort_channels(tensors, own).items():
        reason = _no_place(name, own, before, after)
        moved = move(name, value, own[name]) if reason is None else reason
        if isinstance(moved, str):
            report.skipped[name] = moved
            continue
        own[name].copy_(moved.value)
        taken += moved.taken
        if moved.how:
            report.resized[name] = moved.how
        else:
            report.copied.append(name)
    taken += _grow(tensors, network, before, after, report)
    moved_names = {*report.copied, *report.resized}
    report.new.update({name: RANDOM for name in own if name not in moved_names and name not in report.new})
    return TransferReport(report.copied, report.resized, report.skipped, report.new, (taken, report.values[1]))


def _no_place(name: str, own: dict[str, Tensor], before: StyleGANConfig, after: StyleGANConfig) -> str | None:
    """Why a tensor of the file is not moved at all; None where it has a counterpart of the same role."""
    if name.startswith("mapping.") and before.mapping_layers != after.mapping_layers:
        return f"{before.mapping_layers} mapping layers in the file, {after.mapping_layers} here"
    if name.startswith("synthesis.") and before.network != after.network:
        return f"a layer of {before.network}, and {after.network} here"
    if name.startswith("from_rgb.") and before.size[0] != after.size[0]:
        return f"it sees images {before.size[0]} high, and they are {after.size[0]} high here"
    return None if name in own else "this network has no such layer"


def _grow(
    tensors: dict[str, Tensor],
    network: nn.Module,
    before: StyleGANConfig,
    after: StyleGANConfig,
    report: TransferReport,
) -> int:
    """Start the blocks that are taller than all of the file's; how many numbers of the file went into them."""
    if not tensors or after.size[0] <= before.size[0]:
        return 0
    if not isinstance(network, Discriminator):
        alike = before.network == after.network == "stylegan2"
        report.new.update(dict.fromkeys(quiet_colours(network, before.size[0]) if alike else [], QUIET))
        return 0
    weight, bias = tensors["from_rgb.weight"], tensors["from_rgb.bias"]
    written = halve_first(network, before.size[0], weight, bias)
    report.new.update(dict.fromkeys(written, HALVING))
    if not written:
        return 0
    target = f"blocks.{2 * before.size[0]}.conv1"
    for name in ("weight", "bias"):
        del report.skipped[f"from_rgb.{name}"]
        del report.new[f"{target}.{name}"]
        report.resized[f"{target}.{name}"] = f"from_rgb.{name} of the file, behind a halving of the image"
    return min(len(bias), len(network.get_parameter(f"{target}.bias"))) * (1 + weight.shape[1])


def _shape_text(config: StyleGANConfig) -> str:
    return ", ".join(f"{name} {getattr(config, name)}" for name in SHAPE_FIELDS)
