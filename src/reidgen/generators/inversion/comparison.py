"""Ways of inverting the same crops, side by side: time of each, and how like its reconstructions are."""

import dataclasses
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from reidgen.config import InversionConfig
from reidgen.data.disk.threads import chunks
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import load_state, save_state
from reidgen.engine.runs.records import write_checked
from reidgen.errors import ConfigError, DataError, option
from reidgen.generators.inversion.encoder import TrainedEncoder
from reidgen.generators.inversion.inversion import reconstruct, search, search_with_noise
from reidgen.generators.inversion.inverted import NOISE, PIVOTAL, RESULT, inversion_facts, way_file, way_name
from reidgen.generators.inversion.likeness import Identifier, Likeness
from reidgen.generators.inversion.tuning import FOLDER, Pivots, tune_to_files
from reidgen.generators.pictures.sheets import write_sheet
from reidgen.generators.trained import TrainedGenerator, load_generator

SHEET = "pairs.png"


@dataclass(frozen=True)
class Inversions:
    """What a comparison found.

    Attributes:
        methods: Of each way: method, the means l2, perceptual and reid_cosine over the crops (where they were
            measured), judge_cosine where a judge was given, `deviation` and `per_crop` of each.
        seconds: Wall and processor time of each way per crop; that of the w+ counts with the pivotal tuning's.
        crops: How many.
    """

    methods: list[dict[str, Any]]
    seconds: dict[str, dict[str, float]]
    crops: int

    def __str__(self) -> str:
        names = [name for name in ("l2", "perceptual", "reid_cosine", "judge_cosine") if name in self.methods[0]]
        lines = [f"| way | s a crop | CPU s a crop | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
        for entry in self.methods:
            spent = self.seconds[entry["method"]]
            cells = [f"{entry[name]:.3f} ± {entry['deviation'][name]:.3f}" for name in names]
            lines.append(f"| {entry['method']} | {spent['wall']:.3g} | {spent['cpu']:.3g} | {' | '.join(cells)} |")
        return "\n".join([*lines, f"Mean and standard deviation over {self.crops} crops, a single run."])


def compare_inversions(
    table: ReidTable,
    generator: TrainedGenerator,
    config: InversionConfig = InversionConfig(),
    *,
    likeness: Likeness,
    encoder: TrainedEncoder | None = None,
    judge: Identifier | None = None,
    out: Path | str,
) -> Inversions:
    """Invert the same crops in several ways and measure time and error of each.

    Each way that is done is kept, so the same call again goes on with the next. Writes inversion.json, the w+ and
    pixels of each way, the tuned generators (tuned/WAY/PID.safetensors, or all.safetensors), and pairs.png, a row a
    crop: the crop, then each way's reconstruction. Errors are of pixels as a file would hold them.

    Args:
        table: Real crops.
        generator: A trained generator.
        config: Ways, crops, steps.
        likeness: The networks of loss and errors.
        encoder: For the ways that need one, and for its held-out people.
        judge: A re-ID network that had no part in any loss, by which a person is judged who was fitted to the other.
        out: The run folder.

    Raises:
        ConfigError: A way, or the held-out people, need an encoder; or a distance has a weight and no network.
        DataError: There are no such crops.
        RunError: The folder belongs to another run.
    """
    likeness.check(config)
    gan = generator.on(config.device)
    _check(config, encoder, gan)
    chosen = _choose(table, config, encoder)
    inputs = {
        "table": chosen.hash(),
        "generator": gan.hash,
        "encoder": encoder.hash if encoder else None,
        "likeness": likeness.facts,
        "judge": judge.hash if judge else None,
    }
    _check_judge(likeness, judge)
    with RunFolder.begin(out, stage="invert", config=config, inputs=inputs) as run:
        if not run.done:
            encoder = encoder.on(config.device) if encoder else None
            ways = _Ways(run, gan, encoder, config, likeness, chosen)
            run.finish(_compare(ways, judge))
        found, spent = inversion_facts(run.path), run.record["cost"]
    methods = [way["method"] for way in found["methods"]]
    seconds = {method: {clock: spent[spent_key(clock, method)] for clock in ("wall", "cpu")} for method in methods}
    return Inversions(found["methods"], seconds, len(chosen))


def spent_key(clock: str, method: str) -> str:
    """Where run.json has the seconds of a way, "wall" or "cpu": times are nowhere else, so that runs repeat."""
    return f"{clock}_sec_a_crop {method}"


def in_turn(table: ReidTable, by: str) -> ReidTable:
    """The rows with the first of each group first, then the second of each, and so on."""
    turn = pl.int_range(pl.len()).over(by).alias("turn")
    return dataclasses.replace(table, rows=table.rows.with_columns(turn).sort("turn", maintain_order=True).drop("turn"))


class _Ways:
    """The ways of inverting some crops; each is computed once and kept in the run folder with what it took."""

    def __init__(
        self,
        run: RunFolder,
        gan: TrainedGenerator,
        encoder: TrainedEncoder | None,
        config: InversionConfig,
        likeness: Likeness,
        crops: ReidTable,
    ) -> None:
        self.run, self.gan, self.encoder, self.config, self.likeness = run, gan, encoder, config, likeness
        self.names, self.pids = crops.rows["file_name"].to_list(), crops.pids
        self.pixels = np.array(CropStore.open(crops, size=gan.size).images)

    def result(self, method: str) -> tuple[Tensor, np.ndarray, list[Tensor] | None]:
        """W+, pixels, and the noise maps where a way has its own."""
        file = way_file(self.run.path, method)
        if not (file.is_file() and spent_key("wall", method) in self.run.record["cost"]):
            base = method.removesuffix(PIVOTAL)
            if base == method:
                clock = _Clock(self.run, method)
                ws, noise = self._found(method)
                pixels = reconstruct(self.gan.network, ws, self.gan.device, noise=noise)
                clock.note()
            else:
                ws, _, noise = self.result(base)
                clock = _Clock(self.run, method)
                pixels = self._tuned(method, Pivots(self.pixels, ws, self.pids, self.names, noise), clock)
            save_state(file, {"ws": ws, "pixels": torch.from_numpy(pixels), "noise": noise}, run=self.run.identity)
            took = {which: sec / len(self.pixels) for which, sec in clock.spent.items()}
            if base != method:
                took = {which: sec + self.run.record["cost"][spent_key(which, base)] for which, sec in took.items()}
            self.run.note_cost(**{spent_key(which, method): round(sec, 4) for which, sec in took.items()})
        kept = load_state(file, run=self.run.identity)
        return kept["ws"], kept["pixels"].numpy(), kept["noise"]

    def _found(self, method: str) -> tuple[Tensor, list[Tensor] | None]:
        """The w+ and, where the way looks for them, the noise maps."""
        name, _, passes = method.partition(":")
        if name == "average":
            mean = self.gan.network.mapping.w_avg.float().cpu()
            return self.gan.network.spread(mean.expand(len(self.pixels), -1)).clone(), None
        start = None
        if name.startswith("encoder"):
            assert self.encoder is not None
            start = self.encoder.invert(self.pixels, passes=int(passes) if passes else None)
            if name == "encoder":
                return start, None
        parts = []
        for rows in chunks(range(len(self.pixels)), self.config.batch):
            own: dict[str, Any] = {
                "likeness": self.likeness,
                "config": self.config,
                "keys": [self.names[row] for row in rows],
                "start": None if start is None else start[list(rows)],
            }
            crops = self.pixels[list(rows)]
            free = name.endswith(NOISE)
            parts.append(search_with_noise(self.gan, crops, **own) if free else (search(self.gan, crops, **own), []))
        ws = torch.cat([found for found, _ in parts])
        noise = [torch.cat(layer) for layer in zip(*(maps for _, maps in parts), strict=True)]
        return ws, noise or None

    def _tuned(self, method: str, pivots: Pivots, clock: "_Clock") -> np.ndarray:
        """The pixels of the tuned generators, each of which is a file before it is used."""
        made, folder, config = np.empty_like(self.pixels), self.run.path / FOLDER / way_name(method), self.config
        files = tune_to_files(
            self.gan, pivots, likeness=self.likeness, config=config, folder=folder, batch=config.batch
        )
        for file, rows in files:
            network, own = load_generator(file, device=config.device).network, pivots.at(rows)
            made[rows] = reconstruct(network, own.ws, self.gan.device, noise=own.noise)
            clock.note()
        if config.tuned == "drop":
            shutil.rmtree(folder)
        return made


class _Clock:
    """Seconds spent on a way, by the wall and by the processor, kept in run.json so that a stopped run goes on."""

    def __init__(self, run: RunFolder, method: str) -> None:
        self.run = run
        self.keys = {which: f"{which}_sec_so_far {method}" for which in ("wall", "cpu")}
        self.spent = {which: run.record["cost"].get(key, 0.0) for which, key in self.keys.items()}
        self.last = self._now()

    def note(self) -> None:
        """Add what was spent since the last call."""
        now = self._now()
        self.spent = {which: sec + now[which] - self.last[which] for which, sec in self.spent.items()}
        self.last = now
        self.run.note_cost(**{key: round(self.spent[which], 4) for which, key in self.keys.items()})

    @staticmethod
    def _now() -> dict[str, float]:
        return {"wall": time.perf_counter(), "cpu": time.process_time()}


def _compare(ways: _Ways, judge: Identifier | None) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    columns = [ways.pixels]
    for method in ways.config.methods:
        pixels = ways.result(method)[1]
        errors = ways.likeness.measure(pixels, ways.pixels, ways.gan.device)
        if "reid" in errors:
            errors["reid_cosine"] = 1 - errors.pop("reid")
        if judge is not None:
            judged = Likeness(reid=judge).measure(pixels, ways.pixels, ways.gan.device)
            errors["judge_cosine"] = 1 - judged["reid"]
        entries.append(
            {
                "method": method,
                **{name: float(values.mean()) for name, values in errors.items()},
                "deviation": {name: float(values.std()) for name, values in errors.items()},
                "per_crop": {name: values.tolist() for name, values in errors.items()},
            }
        )
        columns.append(pixels)
    write_checked(ways.run.path / RESULT, {"crops": ways.names, "likeness": ways.likeness.facts, "methods": entries})
    sheet = np.stack(columns, axis=1).reshape(-1, *ways.pixels.shape[1:])
    write_sheet(ways.run.path / SHEET, sheet, columns=len(columns))
    return {
        "crops": len(ways.pixels),
        "generator": ways.gan.hash,
        "encoder": ways.encoder.hash if ways.encoder else None,
        **{entry["method"]: {k: v for k, v in entry.items() if isinstance(v, float)} for entry in entries},
    }


def _check_judge(likeness: Likeness, judge: Identifier | None) -> None:
    if judge is not None and likeness.reid is not None and likeness.reid.hash == judge.hash:
        raise ConfigError(
            "The judge is the re-ID network of the loss.",
            got=f"the same weights, SHA-256 {judge.hash[:16]}..., for {option('reid')} and {option('judge')}",
            allowed="a network that was trained on its own",
            fix=f"{option('judge')} with another run of train-reid: another {option('seed')}, "
            f"or another {option('backbone')}",
        )


def _check(config: InversionConfig, encoder: TrainedEncoder | None, gan: TrainedGenerator) -> None:
    noisy = [method for method in config.methods if NOISE in method]
    if noisy and not gan.network.synthesis.noise_shapes:
        raise ConfigError(
            f"A {gan.kind} has no noise maps that could be optimised.",
            got=option(methods=noisy),
            allowed="ways without +noise; StyleGAN2 has such maps",
            fix=option(methods=tuple(method.replace(NOISE, "") for method in noisy)),
        )
    needing = [method for method in config.methods if method.startswith("encoder")]
    if config.people == "held-out":
        needing.append(option(people="held-out"))
    if needing and encoder is None:
        raise ConfigError(
            "There is no encoder.",
            got=", ".join(needing),
            allowed=f"{option('methods')} average optimise, and these with +pivotal, "
            f"of {option(people='train')} or query",
            fix=f"{option(encoder='DIR')} of a train-encoder",
        )


def _choose(table: ReidTable, config: InversionConfig, encoder: TrainedEncoder | None) -> ReidTable:
    crops = (table.query if config.people == "query" else table.train).kept
    crops = crops.where((pl.col("pid") > 0) & (pl.col("origin") != "generated"))
    if config.people == "held-out":
        assert encoder is not None
        crops = crops.where(pl.col("pid").is_in(encoder.facts["held_out_people"]))
    if not len(crops):
        raise DataError(
            f"{table.name or 'The table'} has no crops of such people.",
            got=option(people=config.people),
            allowed="a table with real crops of them; held-out: the table that the encoder was trained on",
            fix=f"{option(people='train')}, or another {option('data')}",
        )
    crops = in_turn(crops, "pid")
    return crops.where(np.arange(len(crops)) < config.crops)
