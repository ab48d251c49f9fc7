"""Training an encoder on real people: who is learned from, one step, the loop, snapshots, checkpoints."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidgen.config import EncoderConfig
from reidgen.data.augment import IMAGENET_MEAN, IMAGENET_STD
from reidgen.data.pixels.store import CropStore
from reidgen.data.samplers import EpochSampler
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.devices.bfloat16 import sound_bfloat16
from reidgen.engine.devices.device import Fabric, average_buffers, setup, share_of, sum_gradients, summed
from reidgen.engine.devices.device import generator as random_generator
from reidgen.engine.loop import Plan, begun, finite, in_run, memory_told, resume, train
from reidgen.engine.runs.run import RunFiles
from reidgen.errors import ConfigError, DataError, TrainingError, option
from reidgen.files import file_sha256, link_or_copy, sha256
from reidgen.generators import sampling
from reidgen.generators.inversion.encoder import (
    ENCODER,
    TrainedEncoder,
    build_encoder,
    fixed_noise,
    load_encoder,
    refine,
    write_encoder,
)
from reidgen.generators.inversion.likeness import Likeness, as_images, weighted
from reidgen.generators.pictures.sheets import write_sheet
from reidgen.generators.trained import TrainedGenerator
from reidgen.generators.weights import FILE
from reidgen.models.reid.ghost_norm import use_parts
from reidgen.models.resnet import ResNet
from reidgen.models.stylegan.precision import use_half

SHEET_CROPS, TEST_BATCH = 8, 16


class EncoderTraining:
    """The encoder, its optimiser and counters.

    Random numbers come from generators seeded by (seed, purpose, step), so there is no random state to keep.

    Attributes:
        network: The encoder.
        step: Steps done.
        names: The distances that are measured, and "loss".
        sums: Their sums since the last log record, of the last pass, and `summed`: over how many steps.
    """

    def __init__(
        self,
        config: EncoderConfig,
        gan: TrainedGenerator,
        crops: CropStore,
        likeness: Likeness,
        start: ResNet | None = None,
        *,
        fabric: Fabric,
        tested: np.ndarray,
        facts: dict[str, Any],
    ) -> None:
        self.config, self.gan, self.likeness, self.fabric = config, gan, likeness, fabric
        self.tested, self.facts = tested, facts
        self.decoder = gan.network
        if config.precision == "bf16":
            self.decoder = copy.deepcopy(gan.network)
            use_half(self.decoder, torch.bfloat16)
        self.store = crops.to(gan.device)
        self.sampler = EpochSampler(len(crops), config.batch, seed=config.seed)
        self.network = build_encoder(config, gan.network)
        self.network.initialise(random_generator("encoder weights", config.seed))
        if start is not None:
            self.network.start_from(start, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        self.network.to(gan.device)
        if config.norm_batch is not None:
            use_parts(self.network, config.norm_batch)
        self.parameters = list(self.network.parameters())
        self.optimiser = torch.optim.AdamW(self.parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        self.noise = fixed_noise(gan.network, config.batch // fabric.world_size, gan.device)
        self.names = ("loss", *likeness.names)
        self.step, self.summed = 0, 0
        self.sums = torch.zeros(len(self.names), dtype=torch.float64, device=gan.device)
        self._tested: dict[str, float] = {}

    def advance(self) -> None:
        """One step: each pass has its loss and adds its gradients, then the weights move."""
        self.network.train()
        with self._autocast():
            target = self.likeness.of(self._batch())
        self.optimiser.zero_grad(set_to_none=True)
        found: dict[str, Tensor] = {}
        for _, image in refine(self._encode, self.decoder, target.images, self.noise, passes=self.config.passes):
            with self._autocast():
                found = self.likeness.distances(image, target)
            found["loss"] = weighted(found, self.config)
            (found["loss"].mean() / self.fabric.world_size).backward()
        sum_gradients(self.fabric, self.parameters)
        self.optimiser.step()
        average_buffers(self.fabric, self.network)
        own = torch.stack([found[name].detach().mean() for name in self.names]).double()
        self.sums += summed(self.fabric, own) / self.fabric.world_size
        self.summed += 1
        self.step += 1

    def shown(self) -> dict[str, float]:
        """The loss since the last record, and of the last test."""
        return {"loss": self._means()["loss"], **self._tested}

    def figures(self) -> dict[str, Any]:
        """Means over the steps since the last call, and now and then those of the test; starts the sums anew."""
        means = self._means()
        self.sums.zero_()
        self.summed = 0
        tests = self.step % self.config.test_steps == 0 or self.step == self.config.steps
        tested = self.test(self.tested) if tests else {}
        self._tested.update({name: value for name, value in tested.items() if name == "test_loss"})
        return {"step": self.step, **means, **tested}

    def _means(self) -> dict[str, float]:
        return dict(zip(self.names, (self.sums / max(self.summed, 1)).tolist(), strict=True))

    @torch.no_grad()
    def test(self, pixels: np.ndarray) -> dict[str, float]:
        """Mean distances of the last pass on crops that were kept out, uint8 (N, H, W, 3), as they are."""
        self.network.eval()
        sums = dict.fromkeys(self.names, 0.0)
        for first in range(0, len(pixels), TEST_BATCH):
            target = self.likeness.of(as_images(pixels[first : first + TEST_BATCH], self.gan.device))
            found = self.likeness.distances(self._passes(target.images)[-1], target)
            found["loss"] = weighted(found, self.config)
            for name in sums:
                sums[name] += found[name].double().sum().item()
        return {f"test_{name}": value / len(pixels) for name, value in sums.items()}

    @torch.no_grad()
    def sheet(self, pixels: np.ndarray) -> np.ndarray:
        """Rows of crop, first reconstruction, second, ...: uint8 (N * (passes + 1), H, W, 3)."""
        self.network.eval()
        made = [sampling.to_pixels(image) for image in self._passes(as_images(pixels, self.gan.device))]
        return np.stack([pixels, *made], axis=1).reshape(-1, *pixels.shape[1:])

    def finite(self) -> bool:
        """Whether all figures since the last record, and the weights, are numbers."""
        return finite(self.sums, networks=(self.network,))

    def diverged(self, folder: Path) -> TrainingError:
        """The error of a training that is not finite."""
        config, snapshots = self.config, sorted(folder.glob("snapshot-*.safetensors"))
        sums = zip(self.names, self.sums.tolist(), strict=True)
        broken = [name for name, value in sums if not math.isfinite(value)]
        return TrainingError(
            f"Training in {folder} diverged: {', '.join(broken) or 'a weight'} is not a number at step {self.step}.",
            got=f"{option(lr=config.lr)}, {option(batch=config.batch)}",
            allowed=f"the last good snapshot is {snapshots[-1]}" if snapshots else "there is no snapshot yet",
            fix=f"another {option('out')} with {option(lr=config.lr / 3)}",
        )

    def write(self, folder: Path) -> None:
        """A snapshot, and a sheet of crops and their reconstructions."""
        self.write_weights(folder / f"snapshot-{self.step:07d}.safetensors", steps=self.step)
        sheet = self.sheet(self.tested[:: max(len(self.tested) // SHEET_CROPS, 1)][:SHEET_CROPS])
        write_sheet(folder / f"pairs-{self.step:07d}.png", sheet, columns=self.config.passes + 1)

    def write_weights(self, path: Path, **facts: Any) -> None:
        """The encoder with the facts of its training."""
        write_encoder(path, self.network, config=self.config, gan_hash=self.gan.hash, facts={**self.facts, **facts})

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "sums": self.sums,
            "summed": self.summed,
            "step": self.step,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a `state`."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.sums = state["sums"].to(self.gan.device)
        self.summed, self.step = state["summed"], state["step"]

    def _encode(self, target: Tensor, image: Tensor) -> Tensor:
        with self._autocast():
            return self.network(target, image).float()

    def _autocast(self) -> torch.autocast:
        half = self.config.precision == "bf16"
        return torch.autocast(self.gan.device.type, dtype=torch.bfloat16, enabled=half)

    def _batch(self) -> Tensor:
        images = sampling.to_tensor(self.store.batch(self.sampler.indices(self.step)))
        draws = torch.rand(len(images), generator=random_generator("encoder", self.config.seed, "flip", self.step))
        mirrored = (draws < self.config.flip).to(images.device)
        return torch.where(mirrored[:, None, None, None], images.flip(3), images)[share_of(self.fabric, len(images))]

    def _passes(self, targets: Tensor) -> list[Tensor]:
        noise = fixed_noise(self.gan.network, len(targets), self.gan.device)
        passes = refine(self.network, self.gan.network, targets, noise, passes=self.config.passes)
        return [image for _, image in passes]


def train_encoder(
    table: ReidTable,
    generator: TrainedGenerator,
    config: EncoderConfig = EncoderConfig(),
    *,
    likeness: Likeness,
    start: ResNet | None = None,
    out: Path | str,
) -> TrainedEncoder:
    """Train an encoder from crops of real people to w+ of a generator, which stays as it is.

    pSp (Richardson et al. 2021) with ReStyle's refinement (Alaluf et al. 2021), as in Alvarez-Gonzalez et al., *GANs
    for data augmentation in person re-identification*, section 4.1, by default with a re-ID feature in place of MoCo.
    The same call again resumes at the last checkpoint, to the same bytes as a run that was never stopped. Writes
    encoder.safetensors, the generator beside it, metrics.jsonl (means over the last pass of each step, and the same
    on people who are kept out), and each `snapshot_steps` a snapshot and a sheet of crops and their reconstructions.

    Args:
        table: Crops; generated and rejected ones, distractors and junk are left out.
        generator: A trained generator; the encoder computes on its device.
        config: Every knob.
        likeness: The networks of the loss, see `load_likeness`.
        start: The network that the backbone starts from, see `load_start`; None where `weights` is "random".
        out: The run folder.

    Raises:
        DataError: There are too few crops or people, or a crop cannot be read.
        ConfigError: A distance has a weight and no network, or the backbone's weights are not there.
        RunError: The folder belongs to another run.
        TrainingError: A loss stopped being a number, or memory ran out.
    """
    likeness.check(config)
    _check_start(config, start)
    fabric = setup(config.device, devices=config.devices, nodes=config.nodes)
    gan = generator.on(config.device)
    learned, kept_out = split_people(table, config)
    inputs = {
        "table": learned.hash(),
        "test": kept_out.hash(),
        "generator": gan.hash,
        "likeness": likeness.facts,
        "start": None if start is None else _hash(start),
    }
    with begun(fabric, out, stage="train-encoder", config=config, inputs=inputs) as run:
        if not run.done:
            CropStore.open(learned, size=gan.size)  # decode here, with a bar; processes then map the file
            run.finish(in_run(fabric, run, _train, learned, kept_out, gan, config, likeness, start))
    return load_encoder(run.path, device=config.device)


def split_people(table: ReidTable, config: EncoderConfig) -> tuple[ReidTable, ReidTable]:
    """The crops to learn from, and those of the people who are kept out: the last ones by number.

    Raises:
        DataError: There are fewer than two people, or fewer crops than a batch.
    """
    crops = (table.train if config.split == "train" else table).kept
    crops = crops.where((crops.pids > 0) & (crops.rows["origin"] != "generated").to_numpy())
    people = np.unique(crops.pids)
    last = people[-max(math.ceil(len(people) * config.test_share), 1) :] if len(people) else people
    kept_out = np.isin(crops.pids, last)
    learned = crops.where(~kept_out)
    if len(people) < 2 or len(learned) < config.batch:
        raise DataError(
            f"{table.name or 'The table'} has too few crops of real people for an encoder.",
            got=f"{len(learned)} crops of {max(len(people) - len(last), 0)} people in the {config.split} split, and "
            f"{len(crops) - len(learned)} of {len(last)} others for the test; batch {config.batch}",
            allowed="at least two people, and a batch of crops without those of the test",
            fix=f"another {option('data')}, or a smaller {option('batch')}",
        )
    return learned, crops.where(kept_out)


def spread_out(table: ReidTable, count: int) -> ReidTable:
    """At most `count` rows of a table, evenly spaced."""
    rows = np.unique(np.linspace(0, len(table) - 1, min(count, len(table))).round().astype(int))
    return table.take(rows)


def _train(
    fabric: Fabric,
    run: RunFolder | RunFiles,
    learned: ReidTable,
    kept_out: ReidTable,
    gan: TrainedGenerator,
    config: EncoderConfig,
    likeness: Likeness,
    start: ResNet | None,
) -> dict[str, Any]:
    """Train to the end, write the weights, and return the run's summary."""
    if fabric.world_size > 1:  # on a GPU of its own
        gan, likeness = gan.to(fabric.device), likeness.to(fabric.device)
    facts = {**_facts(learned, kept_out, gan, config, likeness), "start": None if start is None else _hash(start)}
    tested = CropStore.open(spread_out(kept_out, config.test_crops), size=gan.size).images
    smaller = f"another {option('out')} with {option(batch=max(config.batch // 2, 2))}, or a smaller {option('width')}"
    plan = Plan(
        label="train encoder (steps)",
        steps=config.steps,
        log_steps=(config.log_steps, config.test_steps),
        write_steps=(config.snapshot_steps,),
        checkpoint_sec=config.checkpoint_sec,
    )
    with memory_told(run, lambda: (option(batch=config.batch), smaller)):
        crops = CropStore.open(learned, size=gan.size)
        training = EncoderTraining(config, gan, crops, likeness, start, fabric=fabric, tested=tested, facts=facts)
        if fabric.is_global_zero:
            link_or_copy(gan.path, run.path / FILE)
        resume(run, training)
        with sound_bfloat16(gan.device, config.precision, tell=fabric.is_global_zero) as kept:
            train(run, training, plan)
    if not fabric.is_global_zero:
        return {}
    training.write_weights(run.path / ENCODER)
    left = {"kept_in_float32": kept} if kept else {}
    return {**facts, **left, "weights": file_sha256(run.path / ENCODER)}


def _facts(
    learned: ReidTable, kept_out: ReidTable, gan: TrainedGenerator, config: EncoderConfig, likeness: Likeness
) -> dict[str, Any]:
    return {
        "steps": config.steps,
        "epochs": round(config.steps * config.batch / len(learned), 3),
        "images": len(learned),
        "people": int(np.unique(learned.pids).size),
        "generated_share": 0.0,
        "table": learned.hash(),
        "split": config.split,
        "held_out_people": sorted(set(kept_out.pids.tolist())),
        "feature": f"w+ less the mean of w, {config.passes} passes",
        "likeness": likeness.facts,
        "generator": gan.hash,
        "generator_training": gan.training,
    }


def _check_start(config: EncoderConfig, start: ResNet | None) -> None:
    if (config.weights == "random") != (start is None):
        raise ConfigError(
            f"The weights that the backbone starts from are not those that {option('weights')} names.",
            got=f"{option(weights=config.weights)}, and {'none' if start is None else 'a network'} to start from",
            allowed="train_encoder(..., start=load_start(config))",
            fix=f"{option(weights='random')}, which needs none",
        )


def _hash(network: ResNet) -> str:
    """SHA-256 of a network's tensors, whatever file they came from."""
    return sha256(value.detach().cpu().contiguous().numpy().tobytes() for value in network.state_dict().values())
