"""Weight files of every kind, damaged by a seed: what a reader of strangers' files has to survive."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidgen.backbones.lpips import read_heads
from reidgen.backbones.reid_model import build_network, load_reid, save_reid
from reidgen.backbones.weights import load_backbone
from reidgen.config import EncoderConfig, ReidConfig, StyleGANConfig, TranslatorConfig, as_dict, generator_preset
from reidgen.filters.detection.detectors import open_detector
from reidgen.generators.inversion.encoder import build_encoder, load_encoder, write_encoder
from reidgen.generators.trained import load_generator
from reidgen.generators.transfer.convert import convert_weights
from reidgen.generators.translation.networks import GENERATOR, build_networks
from reidgen.generators.translation.translator import load_translator, write_translator
from reidgen.generators.weights import build_generator, write_generator
from reidgen.models import resnet
from reidgen.models.translation.paste import Paste
from tests.darknet_files import small_cfg, write_darknet
from tests.foreign_files import EasyDict, golden, module, upstream_pickle
from tests.hostile.damage import BYTES, edited
from tests.hostile.guard import Case

SMALL = {"size": (16, 8), "z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 8}


class Cases:
    """Whole files of every kind in a folder, and damaged ones beside them; with `small_networks`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        torch.manual_seed(0)
        folder.mkdir(parents=True, exist_ok=True)
        self.files: dict[str, tuple[Path, Callable[[Path], Any]]] = {}
        self._generators()
        self._networks()
        self._foreign()
        self._detector()
        self._translators()

    def _generators(self) -> None:
        configs = {
            "stylegan2": StyleGANConfig(**SMALL),
            "stylegan3-t": generator_preset("market-stylegan3-t", **SMALL),
            "stylegan3-r": generator_preset("market-stylegan3-r", **SMALL),
            "dcgan": generator_preset("dcgan", size=(16, 8), z_dim=8, width=4),
        }
        for kind, config in configs.items():
            path = self.folder / f"{kind}.safetensors"
            parts = {"generator": build_generator(config).state_dict(), "discriminator": {}}
            write_generator(path, parts, config=config, training={"split": "train"})
            self.files[kind] = path, lambda file: load_generator(file, device="cpu").sample([0])

    def _translators(self) -> None:
        black = np.zeros((1, 32, 16, 3), np.uint8)
        for preset in ("pix2pix", "spgan", "stargan", "paste"):
            cameras = {} if preset == "stargan" else {"source": 1, "target": 2}
            config = TranslatorConfig(preset=preset, size=(32, 16), width=2, **cameras)
            path = self.folder / f"{preset}.safetensors"
            paste = torch.nn.ModuleDict({GENERATOR: Paste(2, (32, 16))})
            networks = paste if preset == "paste" else build_networks(config, 2)
            write_translator(path, networks, config=config, cameras=[1, 2], training={"steps": 1})
            self.files[preset] = (
                path,
                lambda file: load_translator(file, device="cpu").translate(black, [0], way=(1, 2), masks=black[..., 0]),
            )

    def _networks(self) -> None:
        gan = load_generator(self.folder / "stylegan2.safetensors", device="cpu")
        config = EncoderConfig(backbone="resnet18", weights="random", width=8)
        path = self.folder / "encoder.safetensors"
        facts = {"held_out_people": [1]}
        write_encoder(path, build_encoder(config, gan.network), config=config, gan_hash=gan.hash, facts=facts)
        black = np.zeros((1, 16, 8, 3), np.uint8)
        self.files["encoder"] = path, lambda file: load_encoder(file, generator=gan).invert(black)
        asked = ReidConfig(backbone="resnet18", weights="random", size=(32, 16), bottleneck=8)
        path, network = self.folder / "reid.safetensors", build_network(asked, 3)
        network.initialise(torch.Generator().manual_seed(0))
        save_reid(path, network, {"reid": as_dict(asked), "pids": [1, 2, 3], "facts": {"people": 3}})
        self.files["reid"] = (
            path,
            lambda file: load_reid(file, device="cpu").network(torch.zeros(1, 3, 32, 16)).embedding,
        )
        state = {f"module.{name}": value for name, value in network.backbone.state_dict().items()}
        whole = {"state_dict": {**state, "module.classifier.bias": torch.zeros(3)}, "epoch": 60, "rank1": np.float64(1)}
        for name, zipped in (("model.pth.tar-60", True), ("old.pth", False)):
            torch.save(whole, self.folder / name, _use_new_zipfile_serialization=zipped)
            self.files[name] = self.folder / name, self._backbone

    def _backbone(self, file: Path) -> Any:
        network = resnet.ResNet("resnet18")
        network.initialise(torch.Generator().manual_seed(0))
        load_backbone(network, ReidConfig(backbone="resnet18", weights=str(file)))
        return network.eval()(torch.zeros(1, 3, 32, 16))

    def _foreign(self) -> None:
        weights, _ = golden("stylegan2_g_32")
        path = self.folder / "stylegan2.pkl"
        path.write_bytes(upstream_pickle(EasyDict(G_ema=module(weights, buffers=("w_avg", "noise_const")))))
        self.files["pkl"] = path, lambda file: convert_weights(file, out=file.with_name("converted")).sample([0])
        heads = {f"lin{i}.model.1.weight": torch.ones(1, c, 1, 1) for i, c in enumerate((64, 192, 384, 256, 256))}
        torch.save(heads, self.folder / "alex.pth")
        self.files["heads"] = self.folder / "alex.pth", lambda file: torch.cat(read_heads(file, "alex"))

    def _detector(self) -> None:
        weights = write_darknet(self.folder, small_cfg())

        def find(weights: Path, cfg: Path) -> Any:
            detector = open_detector(str(weights), cfg=str(cfg), score="product", person=0, padding=4, device="cpu")
            return np.concatenate([part.ravel() for part in detector.find(np.zeros((1, 32, 16, 3), np.uint8))[0]])

        cfg = weights.with_suffix(".cfg")
        self.files["weights"] = weights, lambda file: find(file, cfg)
        self.files["cfg"] = cfg, lambda file: find(weights, file)

    def case(self, seed: int) -> Case:
        """The damaged file of a seed; the next case of the same kind takes its place."""
        rng = random.Random(seed)
        kind = list(self.files)[seed % len(self.files)]
        path, use = self.files[kind]
        data = path.read_bytes()
        changes: list[Callable[[bytes, random.Random], bytes]] = [*BYTES]
        if path.suffix == ".safetensors":
            changes += [_number, _header, *[_config] * 6]
        if kind == "cfg":
            changes += [_line] * 6
        change = rng.choice(changes)
        damaged = self.folder / "damaged" / path.name
        damaged.parent.mkdir(exist_ok=True)
        damaged.write_bytes(change(data, rng))
        name = f"{seed}: {kind}, {change.__name__}"
        return Case(name, lambda: _finite(use(damaged)), (damaged.parent,), self.folder)


def _finite(found: Any) -> None:
    assert np.isfinite(np.asarray(found.detach() if isinstance(found, torch.Tensor) else found)).all()


def _line(data: bytes, rng: random.Random) -> bytes:
    """Another value for an option of a cfg, or another order of its lines."""
    lines = data.decode().splitlines()
    at = rng.randrange(len(lines))
    value = rng.choice(("0", "-1", "1000000000", "nan", "inf", "1e9", "", "x", "9" * 20, "1,2,3", "9" * 5000))
    lines[at] = lines[at].partition("=")[0] + f"={value}" if "=" in lines[at] else rng.choice(lines)
    return "\n".join(lines).encode()


def _number(data: bytes, rng: random.Random) -> bytes:
    """A number that is none, or far away, somewhere in the tensors."""
    begin = 8 + int.from_bytes(data[:8], "little")
    at = begin + 4 * rng.randrange((len(data) - begin) // 4)
    value = np.float32(rng.choice((np.nan, np.inf, -np.inf, 3e38, -3e38, -1))).tobytes()
    return data[:at] + value + data[at + 4 :]


def _header(data: bytes, rng: random.Random) -> bytes:
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    return _joined(json.dumps(edited(header, rng)), data[end:])


def _config(data: bytes, rng: random.Random) -> bytes:
    """The config in the metadata changed at one place, or nested without end."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    config = json.dumps(edited(json.loads(header["__metadata__"]["config"]), rng))
    header["__metadata__"]["config"] = "[" * 100_000 + "]" * 100_000 if rng.random() < 0.03 else config
    return _joined(json.dumps(header), data[end:])


def _joined(header: str, data: bytes) -> bytes:
    text = header.encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data
