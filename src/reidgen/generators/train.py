"""Training a generator on the crops of a table: start, loop, snapshots, checkpoints."""

import sys
import time
from pathlib import Path
from typing import Any

import torch

from reidgen.config import DCGANConfig, GeneratorConfig, StyleGANConfig
from reidgen.data.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.bfloat16 import sound_bfloat16
from reidgen.engine.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from reidgen.engine.device import derive_seed, is_out_of_memory, setup
from reidgen.engine.progress import progress
from reidgen.errors import DataError
from reidgen.files import file_sha256, write_json
from reidgen.generators import failures, sampling
from reidgen.generators.dcgan import DCGANTraining
from reidgen.generators.diagnosis import advice, diagnose
from reidgen.generators.estimate import estimate, gamma_line
from reidgen.generators.sheets import write_sheet
from reidgen.generators.trained import TrainedGenerator, load_generator
from reidgen.generators.training import StyleGANTraining, steps_of, total_steps
from reidgen.generators.transfer import as_json, transfer
from reidgen.generators.weights import FILE, GeneratorFile, Part, read_generator, write_generator

SHEET_IMAGES, SHEET_COLUMNS = 64, 16
SHOWN = ("kimg", "d_real", "d_fake", "r_t", "ada_p", "r1")  # beside the bar
LOG_KIMG, LOG_RECORDS = 1.0, 50  # a log record each so many kimg, but at least so many in a run
Training = StyleGANTraining | DCGANTraining


def train_generator(table: ReidTable, config: GeneratorConfig, *, out: Path | str) -> TrainedGenerator:
    """Train a generator on a table's crops: StyleGAN2 or 3, or a DCGAN.

    StyleGAN: Karras et al. 2020 (CVPR) and 2021, with adaptive augmentation, Karras et al. 2020 (NeurIPS). DCGAN:
    Radford et al. 2016.

    Writes generator.safetensors, a snapshot and a sheet of its fakes each `snapshot_kimg`, metrics.jsonl and, with
    `transfer`, transfer.json. The same call again resumes at the last checkpoint, to the same bytes as a run that was
    never stopped, or returns what is there. A run that is not done may be taken up with another `accumulate`, or with a
    larger `kimg`: it then ends with the bytes of one that had that length from the start, but that earlier snapshots
    name the old one, and that a run of less than 50 kimg has logged more often until then. First it says what a step
    costs and which R1 weight is in force.

    Args:
        table: Crops; only its train split is learned from, unless `config.split` says otherwise, and never what a
            filter has rejected.
        config: Network, losses, schedule: a `StyleGANConfig` or a `DCGANConfig`.
        out: The run folder.

    Raises:
        DataError: There are no crops to learn from, fewer than a batch, or one cannot be read.
        WeightsError: The file to start from is missing or of another network.
        RunError: The folder belongs to another run, or to a finished one that is shorter.
        TrainingError: A loss stopped being a number, or memory ran out; the last checkpoint and the snapshots stay.
    """
    crops = _crops(table, config)
    source = config.transfer if isinstance(config, StyleGANConfig) else None
    parent = read_generator(source) if source else None
    inputs = {"table": crops.hash(), "transfer": parent.hash if parent else None}
    if refusal := failures.longer_than_done(Path(out), config):
        raise refusal
    with RunFolder.begin(
        out, stage="train-generator", config=config, inputs=inputs, adjustable=("accumulate",), growing=("kimg",)
    ) as run:
        if not run.done:
            run.finish(_train(run, crops, config, parent))
        (run.path / CHECKPOINT).unlink(missing_ok=True)
    return load_generator(run.path, device=config.device)


def _train(run: RunFolder, crops: ReidTable, config: GeneratorConfig, parent: GeneratorFile | None) -> dict[str, Any]:
    """Train to the end, write the weights, and return the run's summary."""
    store = CropStore.open(crops, size=config.size)
    training = _training(config, store, ramp=parent is None)
    facts = {
        "split": config.split,
        "images": len(crops),
        "table": run.record["inputs"]["table"],
        "origins": sorted(crops.rows["origin"].unique().to_list()),
        "kimg": total_steps(config) * config.batch / 1000,
        "parent": parent.hash if parent else None,
        "ancestors": _ancestors(parent),
    }
    _start(run, training, parent)
    cost = None
    try:
        with sound_bfloat16(training.fabric.device, config.precision) as kept:
            cost = estimate(training)
            _say(cost.line(config))
            if isinstance(config, StyleGANConfig):
                _say(gamma_line(config))
            _loop(run, training, facts)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise failures.out_of_memory(run.path, config, cost, training.fabric.device) from error
    _write(run.path / FILE, training, facts)
    augmentation = {"ada_p": training.ada_p} if isinstance(training, StyleGANTraining) else {}
    left = {"kept_in_float32": kept} if kept else {}
    return {**facts, **augmentation, **left, "weights": file_sha256(run.path / FILE)}


def _training(config: GeneratorConfig, store: CropStore, *, ramp: bool) -> Training:
    """The training that belongs to a config."""
    if isinstance(config, DCGANConfig):
        return DCGANTraining(config, setup(config.device), store)
    # its networks know which of their layers are halved, so no part of the device's setup
    return StyleGANTraining(config, setup(config.device), store, ramp=ramp)


def _ancestors(parent: GeneratorFile | None) -> list[dict[str, Any]]:
    """Facts of the trainings that a transfer goes back to, oldest first: whom they saw, these weights have seen too."""
    if parent is None:
        return []
    facts = dict(parent.training)
    return [*facts.pop("ancestors", []), facts]


def _crops(table: ReidTable, config: GeneratorConfig) -> ReidTable:
    crops = (table.train if config.split == "train" else table).kept
    if len(crops) < config.batch:
        raise DataError(
            f"{table.name or 'The table'} has too few crops for a generator in the {config.split} split."
            if config.split == "train"
            else f"{table.name or 'The table'} has too few crops for a generator.",
            got=f"{len(crops)} crops, batch {config.batch}",
            allowed="at least one batch; a thousand or more for results",
            fix="another --data" if len(crops) < 2 else f"--batch {len(crops)}",
        )
    return crops


def _start(run: RunFolder, training: Training, parent: GeneratorFile | None) -> None:
    """Go back to the checkpoint, or to the parent's weights, or start at random."""
    if (state := load_checkpoint(run)) is not None:
        training.load(state["training"])
        _rename_snapshots(run.path, training.config)
        return
    if parent is not None and isinstance(training, StyleGANTraining):
        networks: dict[Part, torch.nn.Module] = {
            "generator": training.generator,
            "discriminator": training.discriminator,
        }
        reports = transfer(parent, training.config, networks)
        training.average.load_state_dict(training.generator.state_dict())
        write_json(run.path / "transfer.json", as_json(parent, reports))
        for part, report in reports.items():
            _say(report.line(part))
        for facts in (*parent.training.get("ancestors", []), parent.training):
            if "licence" in facts:
                _say(facts["licence"])


def _loop(run: RunFolder, training: Training, facts: dict[str, Any]) -> None:
    config, steps = training.config, total_steps(training.config)
    log_steps = max(min(steps_of(LOG_KIMG, config), steps // LOG_RECORDS), 1)
    snapshot_steps = steps_of(config.snapshot_kimg, config)
    began_sec, began_step, told = time.monotonic(), training.step, {""}
    saved_sec = began_sec
    with progress("train generator (images)", steps * config.batch, start=training.step * config.batch) as bar:
        while training.step < steps:
            training.advance()
            bar.advance(config.batch)
            last = training.step == steps
            logs, snapshots = training.step % log_steps == 0, training.step % snapshot_steps == 0
            now_sec = time.monotonic()
            saves = last or now_sec - saved_sec > config.checkpoint_sec
            if (logs or snapshots or saves) and not training.finite():
                raise failures.not_a_number(run.path, config, kimg=training.step * config.batch / 1000)
            speed = (now_sec - began_sec) / (training.step - began_step) / config.batch * 1000
            if logs:
                figures = training.figures()
                warning = diagnose(figures, config)
                run.metrics.write(**figures, warning=warning)
                shown = {name: figures[name] for name in SHOWN if name in figures}
                bar.advance(0, **shown, **{"s/kimg": speed})
                if warning not in told:
                    told.add(warning)
                    _say(f"warning at {figures['kimg']:g} kimg: {warning}: {advice(warning, config)}")
            if snapshots or last:
                _snapshot(run.path, training, facts)
            if saves:
                save_checkpoint(run, {"training": training.state()})
                run.note_cost(sec_per_kimg=round(speed, 3), **_gpu_peak(training.fabric.device))
                saved_sec = time.monotonic()


def _gpu_peak(device: torch.device) -> dict[str, float]:
    """The most GPU memory that tensors took at once, for run.json; nothing on a CPU."""
    if device.type != "cuda":
        return {}
    return {"peak_gpu_memory_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 3)}


def _snapshot(folder: Path, training: Training, facts: dict[str, Any]) -> None:
    """Weights and a sheet of fakes of always the same seeds."""
    kimg = training.step * training.config.batch / 1000
    name = snapshot_name(training.step, training.config)
    _write(folder / f"snapshot-{name}.safetensors", training, {**facts, "kimg": kimg})
    seeds = [derive_seed("sheet", i) for i in range(SHEET_IMAGES)]
    device = training.fabric.device
    w = sampling.map_seeds(training.average, seeds, psi=1.0, device=device)
    fakes = sampling.synthesize(training.average, training.average.spread(w), seeds, device=device)
    write_sheet(folder / f"fakes-{name}.png", fakes, columns=SHEET_COLUMNS)


def snapshot_name(step: int, config: GeneratorConfig) -> str:
    """The thousands of images after a step in six digits, and with decimals if two of the run would be named alike.

    Names of a run sort by time.
    """
    steps, apart = total_steps(config), steps_of(config.snapshot_kimg, config)
    before = (steps - 1) // apart * apart  # the last snapshot but one
    short = min(steps, apart) * config.batch < 1000 or _whole_kimg(before, config) == _whole_kimg(steps, config)
    return f"{step * config.batch / 1000:010.3f}" if short else f"{_whole_kimg(step, config):06d}"


def _rename_snapshots(folder: Path, config: GeneratorConfig) -> None:
    """Give snapshots from before the run was made longer the names that they have in a run of this length."""
    apart = steps_of(config.snapshot_kimg, config)
    for path in [*folder.glob("snapshot-*.safetensors"), *folder.glob("fakes-*.png")]:
        kind, kimg = path.stem.split("-")
        step = max(round(float(kimg) * 1000 / config.batch / apart), 1) * apart
        rounding = 0.001 if "." in kimg else 0.5
        if abs(step * config.batch / 1000 - float(kimg)) <= rounding:  # others are the end of a run as it was meant
            path.rename(path.with_stem(f"{kind}-{snapshot_name(step, config)}"))


def _whole_kimg(step: int, config: GeneratorConfig) -> int:
    return (step * config.batch + 500) // 1000


def _write(path: Path, training: Training, facts: dict[str, Any]) -> None:
    parts: dict[Part, dict[str, torch.Tensor]] = {
        "generator": training.average.state_dict(),
        "discriminator": training.discriminator.state_dict(),
    }
    write_generator(path, parts, config=training.config, training=facts)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
