"""Trainings for test_shared_trainings: a few steps of each kind in float64, whose figures and weights are written.

`python shared_trainings.py FOLDER PROCESSES`: with more than one process each of them is started anew, or, under the
variables of torchrun, this is one of them.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from reidgen.config import DCGANConfig, EncoderConfig, StyleGANConfig
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine.devices.device import setup
from reidgen.engine.loop import begun, in_run
from reidgen.generators import sampling
from reidgen.generators.inversion import encoder_training
from reidgen.generators.inversion.encoder_training import EncoderTraining
from reidgen.generators.inversion.likeness import Likeness
from reidgen.generators.trained import TrainedGenerator
from reidgen.generators.training.dcgan import DCGANTraining
from reidgen.generators.training.style import StyleGANTraining
from reidgen.generators.translation import domain_crops
from reidgen.generators.translation.cycle import CycleTraining
from reidgen.generators.translation.domains import DomainTraining
from reidgen.generators.translation.paired import PairedTraining
from reidgen.generators.views import views_training
from reidgen.generators.views.views_training import RotatorTraining, ViewCrops, angles_of
from reidgen.generators.weights import build_generator
from reidgen.models import resnet
from tests.generators.translation.conftest import made_crops, tiny_config
from tests.generators.views import conftest as views

STEPS = 4  # p of the augmentation moves after four
SMALL = {"size": (16, 8), "z_dim": 8, "batch": 8, "seed": 3}
STYLE = {**SMALL, "w_dim": 8, "channel_base": 64, "channel_max": 8, "accumulate": 2, "ada_kimg": 0.05}


def in_float64(fabric, run, folder, world):
    """In each process."""
    torch.set_default_dtype(torch.float64)
    sampling.to_tensor = encoder_training.sampling.to_tensor = lambda pixels: pixels.double() / 127.5 - 1
    domain_crops.to_tensor = views_training.to_tensor = sampling.to_tensor
    torch.Tensor.float = torch.Tensor.double  # networks that give float32 whatever they compute in
    resnet.WIDTHS = (8, 8, 8, 8)
    store = CropStore.open(ReidTable.read(folder / "crops").train, size=(16, 8))
    for name, training in trainings(fabric, store, folder).items():
        for _ in range(STEPS):
            training.advance()
        figures = {key: value for key, value in training.figures().items() if not isinstance(value, str)}
        told = {f"figure/{key}": torch.tensor([float(value)]) for key, value in figures.items()}
        weights = flat(training.state())
        if fabric.is_global_zero:
            save_file({**told, **weights}, folder / f"{name}-{world}.safetensors")


def trainings(fabric, store, folder):
    common = {"fabric": fabric, "store": store}
    path = StyleGANConfig(**STYLE, path_weight=2.0, path_interval=2, r1_interval=2)
    pairs = StyleGANConfig(**STYLE, network="stylegan3-r", loss="relativistic", layers=4)
    torch.manual_seed(0)
    drawn = StyleGANConfig(**{**STYLE, "accumulate": 1})
    gan = TrainedGenerator(build_generator(drawn).eval(), drawn, "", {}, Path(), fabric.device)
    encoder = EncoderConfig(
        backbone="resnet18", weights="random", width=4, passes=2, batch=8, norm_batch=4, test_steps=3, steps=10,
        perceptual_weight=0.0, reid_weight=0.0,
    )  # fmt: skip
    turned, grey = (rotator(fabric, folder, structure) for structure in ("mesh", "grey"))
    parts = {"fabric": fabric, "tested": store.images[:4], "facts": {}}
    return {
        "path": StyleGANTraining(path, **common, ramp=True),
        "pairs": StyleGANTraining(pairs, **common, ramp=True),
        "dcgan": DCGANTraining(DCGANConfig(**SMALL, width=4, norm_batch=4), **common),
        "encoder": EncoderTraining(encoder, gan, store, Likeness(), **parts),
        "paired": PairedTraining(tiny_config("background-pose", batch=8, norm_batch=4), fabric, made_crops()),
        "cycle": CycleTraining(tiny_config("spgan", batch=4, history=6, blocks=1), fabric, made_crops()),
        "domains": DomainTraining(tiny_config("stargan", batch=4, critic_steps=2, blocks=1), fabric, made_crops()),
        "turned": turned,
        "grey": grey,
    }


def rotator(fabric, folder, structure):
    config = views.tiny_config(structure=structure, batch=8, norm_batch=4)
    table = ReidTable.read(folder / "views")
    return RotatorTraining(config, fabric, ViewCrops.open(table, config, angles_of(config)))


def flat(state, prefix="state"):
    """All floating tensors of a state by name."""
    if isinstance(state, torch.Tensor):
        return {prefix: state.detach().clone()} if state.is_floating_point() else {}
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, (list, tuple)) else ()
    return {name: value for key, item in items for name, value in flat(item, f"{prefix}/{key}").items()}


def main():
    folder, world, nodes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    fabric = setup("cpu", devices=world // nodes, nodes=nodes)
    name = f"{world}-{nodes}"
    with begun(fabric, folder / f"run-{name}", stage="made", config=StyleGANConfig()) as run:
        in_run(fabric, run, in_float64, folder, name)
        run.finish({"processes": world})


if __name__ == "__main__":
    main()
