"""What is installed, what this machine has, and what would not work, in words."""

import importlib.metadata
import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from packaging.requirements import Requirement  # of lightning-fabric
from torch.nn import functional

from reidgen.annotate.landmarks import PACKAGE, VERSION
from reidgen.engine.cache import VARIABLE, WEIGHTS, cache_folder, kept, size_of
from reidgen.engine.devices.bfloat16 import HALF, sound_bfloat16
from reidgen.engine.devices.machine import cores, memory_bytes
from reidgen.errors import DataError

CORE = ("torch", "numpy", "polars", "pillow")
# What each extra is for; and the package, installed without what it asks for, in which lies a file that it reads.
EXTRAS = {
    "render": "reidgen render, reidgen annotate --what body mesh",
    "annotate": "masks of annotate (MediaPipe's model)",
    "detect": "reidgen filter --filters detector with hog or an .onnx file",
    "fid": "fidelity, FID on the page",
    "lpips": "perceptual losses by lpips-alex and lpips-vgg",
    "timm": "reidgen train-reid --backbone timm:NAME",
    "tensorboard": "reidgen train-reid --tensorboard, and all other trainings",
    "ray": "reidgen sweep --launcher ray",
    "onnx": "reidgen export",
    "video": "reidgen generate video --format mp4",
    "view": "reidgen view",
    "docs": "make docs",
}
WIDTH = max(map(len, EXTRAS.values())) + 2
FILES_OF = {"annotate": f"{PACKAGE}=={VERSION}"}
SHIPPED = ("generator/generator.safetensors", "pose/movenet.safetensors")
# Convolutions that the self-test computes: (N, C, H, W), weights, stride. The first two are of the kinds that torch
# 2.13 computed wrongly on processors with AMX.
TESTED = (
    ((4, 64, 8, 4), (128, 64, 3, 3), 2),
    ((4, 64, 8, 4), (128, 64, 1, 1), 2),
    ((4, 64, 32, 16), (64, 64, 3, 3), 1),
    ((4, 16, 16, 8), (32, 16, 3, 3), 2),
)
LITTLE_DISK_GB = 5.0


@dataclass(frozen=True)
class Extra:
    """An optional part.

    Attributes:
        name: As pip has it.
        here: Its packages that are installed, with their versions.
        lacking: What pip would have to install: packages that are not there, or of another version.
    """

    name: str
    here: tuple[str, ...]
    lacking: tuple[str, ...]

    def __str__(self) -> str:
        """One line: its name, what it is for, and what is there."""
        state = f"lacks {', '.join(self.lacking)}" if self.lacking else ", ".join(self.here)
        return f"{self.name:<12}{EXTRAS[self.name]:<{WIDTH}}{state}"

    def fix(self) -> str:
        """What to type where something is lacking."""
        file = FILES_OF.get(self.name)
        fixes = [f"pip install 'reidgen[{self.name}]'"] if set(self.lacking) - {file} else []
        return " and ".join(fixes + ([f"pip install --no-deps {file}"] if file in self.lacking else []))


def examine() -> str:
    """The whole report: versions, devices, bfloat16, cache, weights, extras, and what would not work.

    Nothing is downloaded or written, and no extra is imported: a second or two.
    """
    extras, wrong = found_extras(), list(wrong_in_bfloat16())
    cache, troubles = _cache()
    lines = [
        f"reidgen {version_of('reidgen')}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version_of(name)}" for name in CORE)
        + f", {platform.system()} {platform.machine()}",
        f"devices: {_devices()}",
        f"bf16 on this CPU: {_bfloat16(wrong)}",
        *cache,
        "extras:",
        *(f"  {one}" for one in extras),
    ]
    troubles = [*troubles, *_troubles(extras, wrong)]
    return "\n".join([*lines, "what would not work:" if troubles else "all would work.", *map("  {}".format, troubles)])


def found_extras() -> list[Extra]:
    """All extras but the developers' one, by the metadata of the installed reidgen."""
    asked = [Requirement(text) for text in importlib.metadata.requires("reidgen") or ()]
    return [extra_of(name, [one for one in asked if one.marker and one.marker.evaluate({"extra": name})])
            for name in EXTRAS]  # fmt: skip


def extra_of(name: str, asked: list[Requirement]) -> Extra:
    """An extra, by what it asks for and what is installed."""
    asked = [*asked, *([Requirement(FILES_OF[name])] if name in FILES_OF else [])]
    versions = [version_of(one.name) for one in asked]
    pairs = list(zip(asked, versions, strict=True))
    lacking = [f"{one.name}{one.specifier}" for one, found in pairs if found is None or found not in one.specifier]
    if not asked:  # an installation from before there was this extra
        lacking = [f"reidgen[{name}]"]
    return Extra(name, tuple(f"{one.name} {found}" for one, found in pairs if found), tuple(lacking))


def version_of(package: str) -> str | None:
    """The version of an installed package, which is not imported; None if it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def wrong_in_bfloat16() -> Iterator[str]:
    """Convolutions of `TESTED` that this CPU computes wrongly in bfloat16; runs keep such ones in float32."""
    cpu = torch.device("cpu")
    with torch.no_grad(), sound_bfloat16(cpu, "bf16", tell=False) as wrong, torch.autocast("cpu", dtype=HALF):
        for image, weight, stride in TESTED:
            functional.conv2d(torch.zeros(image), torch.zeros(weight), stride=stride, padding=weight[-1] // 2)
    yield from wrong


def _devices() -> str:
    gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    names = [f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in gpus]
    memory = memory_bytes()
    held = "" if memory == float("inf") else f", {memory / 2**30:.1f} GiB of memory"
    cpu = f"{cores()} CPU cores for this process, {torch.get_num_threads()} torch threads{held}"
    return "; ".join([*names, cpu] if names else [cpu, "no CUDA device"])


def _bfloat16(wrong: list[str]) -> str:
    """The verdict of the self-test, and what bfloat16 is worth in time."""
    image, weight = torch.randn(4, 64, 64, 32), torch.randn(64, 64, 3, 3)
    ratio = _fastest(image, weight) / _fastest(image.to(HALF), weight.to(HALF))
    verdict = f"{len(wrong)} of {len(TESTED)} kinds of convolution are wrong" if wrong else "right"
    return f"{verdict}; a 3x3 convolution is {ratio:.1f} times as fast as in float32"


def _fastest(image: torch.Tensor, weight: torch.Tensor) -> float:
    image, weight = (one.contiguous(memory_format=torch.channels_last) for one in (image, weight))
    spent = []
    for _ in range(6):
        began = time.perf_counter()
        functional.conv2d(image, weight, padding=1)
        spent.append(time.perf_counter() - began)
    return min(spent)


def _cache() -> tuple[list[str], list[str]]:
    """Lines about the cache and weight files, and what is wrong with them."""
    try:
        folder = cache_folder()
    except DataError as error:
        return ["cache: there is no folder for it"], [f"all that is kept between runs: {error.got}; {error.fix}"]
    files = kept()
    sizes = [f"{kind} {size_of(paths) / 1e9:.2f} GB" for kind, paths in files.items() if paths]
    place = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    free = shutil.disk_usage(place).free / 1e9
    lines = [
        f"cache: {folder} ({', '.join(sizes) or 'empty'}; {free:.1f} GB free; reidgen cache --clear empties it)",
        f"weights: {', '.join([*_shipped(), *(path.name for path in files[WEIGHTS])])}",
    ]
    troubles = [] if files[WEIGHTS] else ["ImageNet weights without a connection: they are downloaded once"]
    if not os.access(place, os.W_OK):
        troubles.append(f"trainings: {place} cannot be written; set {VARIABLE} to a folder that can")
    if free < LITTLE_DISK_GB:
        troubles.append(f"large tables: {free:.1f} GB are free for decoded crops; set {VARIABLE} to a larger disk")
    return lines, troubles


def _shipped() -> list[str]:
    """The shipped weights that are there."""
    folder = Path(__file__).parent / "assets"
    return [f"{Path(name).stem} (shipped)" for name in SHIPPED if (folder / name).is_file()]


def _troubles(extras: list[Extra], wrong: list[str]) -> Iterator[str]:
    for one in extras:
        if one.lacking:
            yield f"{EXTRAS[one.name]}: {one.fix()}"
    if not torch.cuda.is_available():
        yield "device cuda, precision fp16: there is no CUDA device"
    for kind in wrong:
        yield f"{kind} in bf16: runs in precision bf16 compute it in float32"
