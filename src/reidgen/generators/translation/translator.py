"""A trained translator: its weight file, and crops in, crops out, the same pixels whatever the batch."""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reidgen.config import Device, as_dict
from reidgen.config.generators.translation import TranslatorConfig
from reidgen.engine.checkpoint import load_trained, save_weights
from reidgen.engine.devices.device import chosen
from reidgen.engine.devices.device import generator as random_generator
from reidgen.engine.opening import config_of, field_of, open_network
from reidgen.errors import DataError, option
from reidgen.files import file_sha256
from reidgen.generators.sampling import PASS, to_pixels, to_tensor
from reidgen.generators.translation.networks import BACK, GENERATOR, build_generator, seen_by_generator
from reidgen.models.translation.paste import Paste
from reidgen.models.translation.residual import with_labels
from reidgen.models.translation.unet import UNet, draw_noise

FILE = "translator.safetensors"
KIND = "translator"


@dataclass(frozen=True)
class TrainedTranslator:
    """A trained translator, ready to move people to another camera.

    Attributes:
        networks: Those that translate, without gradients: one, or with camstyle and spgan one for each way.
        config: Of its training.
        cameras: Those that it knows, sorted.
        hash: SHA-256 of the weight file, for the table's column `generator`.
        training: Facts of its training: split, images, table's hash, steps.
        path: The weight file.
        device: Where the networks are.
    """

    networks: nn.ModuleDict
    config: TranslatorConfig
    cameras: tuple[int, ...]
    hash: str
    training: dict[str, Any]
    path: Path
    device: torch.device

    def on(self, device: Device) -> "TrainedTranslator":
        """The same translator on another device; "auto" leaves it where it is."""
        if device == "auto":
            return self
        where = chosen(device)
        return dataclasses.replace(self, networks=copy.deepcopy(self.networks).to(where), device=where)

    @property
    def ways(self) -> list[tuple[int, int]]:
        """Source and target of each way that it can go."""
        if self.config.family == "domains":
            return [(a, b) for a in self.cameras for b in self.cameras if a != b]
        assert self.config.source is not None
        assert self.config.target is not None
        there = (self.config.source, self.config.target)
        return [there, (there[1], there[0])] if self.config.family == "cycle" else [there]

    def check_way(self, source: int, target: int) -> None:
        """Raise `DataError` unless it can move people from one camera to the other."""
        if (source, target) not in self.ways:
            raise DataError(
                f"{self.path} was trained for other cameras.",
                got=f"source {source}, target {target}",
                allowed=", ".join(f"{a} to {b}" for a, b in self.ways),
                fix="a translator for these cameras: reidgen train-translator "
                f"{option(preset=self.config.preset)} {option(source=source)} {option(target=target)}",
            )

    @torch.inference_mode()
    def translate(
        self,
        crops: np.ndarray,
        seeds: Sequence[int],
        *,
        way: tuple[int, int],
        masks: np.ndarray | None = None,
        poses: np.ndarray | None = None,
    ) -> np.ndarray:
        """The crops in the target's style and place, uint8 (N, H, W, 3); a crop's pixels do not depend on the others.

        Args:
            crops: Of the source, uint8 (N, H, W, 3).
            seeds: Of each crop's noise, or of its background.
            way: Source and target camera.
            masks: Of the crops' people, uint8 (N, H, W), 255 on the person; for translators that need masks.
            poses: That the people shall have, likewise; for translators that need a pose.
        """
        self.check_way(*way)
        out = []
        for start in range(0, len(seeds), PASS):
            part = slice(start, start + PASS)
            filled = [_filled(one, part) for one in (crops, masks, poses)]
            drawn = [*seeds[part], *[seeds[-1]] * (PASS - len(seeds[part]))]
            made = self._pass(to_tensor(_planes(filled[0])), drawn, way, *(_mask(one) for one in filled[1:]))
            out.append(to_pixels(made[: len(seeds[part])]))
        return np.concatenate(out)

    def _pass(
        self, crops: Tensor, seeds: Sequence[int], way: tuple[int, int], mask: Tensor | None, pose: Tensor | None
    ) -> Tensor:
        crops = crops.to(self.device)
        mask, pose = (None if one is None else one.to(self.device) for one in (mask, pose))
        network = self.networks[BACK if self.config.family == "cycle" and way[0] == self.config.target else GENERATOR]
        made: Tensor
        random = [random_generator("translation", seed) for seed in seeds]
        if isinstance(network, UNet):
            noise = [kept.to(self.device) for kept in draw_noise(network.noise_shapes, random)]
            made = network(seen_by_generator(self.config, crops, mask, pose), noise)
        elif isinstance(network, Paste):
            count = len(network.backgrounds)
            which = torch.stack([torch.randint(count, (), generator=one) for one in random])
            made = network(crops, mask, which.to(self.device))
        elif self.config.family == "domains":
            label = torch.full((len(seeds),), self.cameras.index(way[1]), device=self.device)
            made = network(with_labels(crops, label, len(self.cameras)))
        else:
            made = network(crops)
        return made


def write_translator(
    path: Path, networks: nn.ModuleDict, *, config: TranslatorConfig, cameras: Sequence[int], training: dict[str, Any]
) -> None:
    """Write the networks that translate in `config.save_dtype`, with config, cameras and facts as metadata."""
    dtype = {"float32": torch.float32, "float16": torch.float16}[config.save_dtype]
    ways = {name: networks[name] for name in (GENERATOR, BACK) if name in networks}
    tensors = {f"{way}.{name}": value for way, one in ways.items() for name, value in one.state_dict().items()}
    saved = {name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors.items()}
    described = {"kind": KIND, KIND: as_dict(config), "cameras": list(cameras), "training": training}
    save_weights(path, saved, config=described)


def load_translator(path: Path | str, *, device: Device = "auto") -> TrainedTranslator:
    """Open a trained translator.

    Args:
        path: Run folder of train-translator, or a translator's .safetensors file.
        device: Where it shall run.

    Raises:
        WeightsError: The file is missing, damaged, or of another network.
    """
    several = Path(path).is_dir() and any(Path(path).glob(f"*/{FILE}"))
    fix = (
        "load_translators, which opens the folders of all pairs of cameras in it"
        if several
        else "reidgen train-translator --data DIR --source 1 --target 2 --out DIR"
    )
    file, tensors, metadata = load_trained(path, KIND, name=FILE, verb="train-translator", fix=fix)
    config = config_of(TranslatorConfig, metadata.get(KIND), file)
    cameras = tuple(field_of(metadata, "cameras", list[int], file))
    training: dict[str, Any] = field_of(metadata, "training", dict, file)
    where = chosen(device)
    networks = {}
    for way in (GENERATOR, BACK) if config.family == "cycle" else (GENERATOR,):
        own = {name.removeprefix(f"{way}."): value for name, value in tensors.items() if name.startswith(f"{way}.")}
        networks[way] = open_network(lambda own=own: _built(config, len(cameras), own), own, file)  # type: ignore[misc]
    opened = nn.ModuleDict(networks).to(where).eval().requires_grad_(False)
    return TrainedTranslator(opened, config, cameras, file_sha256(file), training, file, where)


def load_translators(path: Path | str, *, device: Device = "auto") -> list[TrainedTranslator]:
    """Open one translator, or all whose run folders lie in a folder, sorted by the names of these.

    Raises:
        WeightsError: There is none, or a file is damaged or of another network.
    """
    folder = Path(path)
    inside = sorted(file.parent for file in folder.glob(f"*/{FILE}")) if folder.is_dir() else []
    if not inside or (folder / FILE).is_file():
        return [load_translator(folder, device=device)]
    return [load_translator(one, device=device) for one in inside]


def _built(config: TranslatorConfig, cameras: int, tensors: dict[str, Tensor]) -> nn.Module:
    if config.family == "paste":
        return Paste(len(tensors.get("backgrounds", ())), config.size)
    return build_generator(config, cameras)


def _filled(pictures: np.ndarray | None, part: slice) -> Tensor | None:
    """A part of pictures, filled up to a pass with its last one."""
    if pictures is None:
        return None
    rows = torch.from_numpy(np.ascontiguousarray(pictures[part]))
    return torch.cat([rows, rows[-1:].expand(PASS - len(rows), *rows.shape[1:])])


def _planes(pictures: Tensor | None) -> Tensor:
    assert pictures is not None
    return pictures.permute(0, 3, 1, 2)


def _mask(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask[:, None].float() / 255
