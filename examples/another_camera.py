"""Does it help to show people in another camera's style? Translators side by side, over seeds, on any table.

    python examples/another_camera.py --data runs/cuhk03 --out runs/camera --cameras 1 2 --labelled 1

People are labelled in some cameras and not in the others (Kolbeinsson 2019, section 6.2.4), or in all of them (section
6.2.2 for a pair, 6.2.3 for all). Each arm trains a translator from each labelled camera to each other one, moves every
labelled crop there, and trains re-ID networks on the labelled crops and the moved ones. The baselines have the labelled
crops alone, and, where cameras are without labels, all labels. All re-ID trainings have the same number of steps;
they are evaluated on the test crops of these cameras.

A run that is stopped goes on where it was: give the same command again. With other --seeds or --arms it takes what is
there and adds the rest. The tables are results.md and results.json; page-ARM-SEEDS/index.html shows an arm, with the
thesis's rows of the same setting.
"""

import dataclasses
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import tyro

import reidgen as rg

ALONE, ALL = "labelled alone", "all labels"


def softmax() -> rg.ReidConfig:
    """The recipe of the thesis at a size for a CPU; from random weights it learns at its full step size until late."""
    return rg.ReidConfig(
        recipe="softmax",
        backbone="resnet18",
        weights="random",
        size=(64, 32),
        augment=rg.AugmentConfig(pad=4),
        steps=400,
        backbone_lr=1.0,
        warmup=0.1,
        decay_at=(0.9,),
        validation="none",
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared.

    Attributes:
        data: Table with train, query and gallery, as written by reidgen; with masks for the arms that need them.
        out: Folder of all runs.
        cameras: Cameras that the comparison is about; None takes all of the table.
        labelled: Those in which people are labelled; None: all. Arms that learn from pairs of one person (pix2pix*,
            background-pose) take the labels of the other cameras all the same, and say so.
        arms: Presets of train-translator.
        outputs: Crops made of each crop and camera.
        translator_steps: Length of each translator's training.
        translator_width: Channels of its largest maps.
        translator_batch: Crops a step of presets that learn from pairs; None, and the other presets, take their own.
        reid: The re-ID trainings, but for their seeds.
        seeds: A training of each arm for each; translators are trained once.
    """

    data: Path
    out: Path
    cameras: tuple[int, ...] | None = None
    labelled: tuple[int, ...] | None = None
    arms: tuple[rg.TranslatorPreset, ...] = (
        "paste",
        "background",
        "background-pose",
        "pix2pix-pose",
        "camstyle",
        "spgan",
    )
    outputs: int = 1
    translator_steps: int = 2000
    translator_width: int = 32
    translator_batch: int | None = None
    reid: rg.ReidConfig = field(default_factory=softmax)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


def main(plan: Plan) -> None:
    """Translate, train and evaluate what is missing, and write the tables."""
    table = rg.ReidTable.read(plan.data)
    if plan.cameras:
        table = table.where(pl.col("camid").is_in(plan.cameras))
    cameras = sorted(set(table.camids.tolist()))
    known = sorted(plan.labelled or cameras)
    if len(cameras) < 2 or not {*(plan.cameras or ()), *known} <= {*cameras}:
        seen = sorted(set(rg.ReidTable.read(plan.data).camids.tolist()))
        raise SystemExit(f"--cameras are two or more of {seen}, and --labelled some of these.")
    labelled = table.where((pl.col("split") != "train") | pl.col("camid").is_in(known))
    tables = {ALONE: labelled}
    if known != cameras:
        tables[ALL] = table
    for arm in plan.arms:
        moved = translated(plan, arm, table, known, cameras)
        out = plan.out / f"extended-{arm}"
        tables[arm] = rg.extend(labelled, moved, label="same", unjudged="allow", out=out)
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name in tables}
    for seed in plan.seeds:  # all arms of a seed before the next seed: an early look is at whole comparisons
        for name, crops in tables.items():
            found[name][seed] = trained(plan, name, crops, table, seed)
        write_tables(plan, found, known, cameras)
    print((plan.out / "results.md").read_text(encoding="utf-8"))
    for arm in plan.arms:
        print(page(plan, arm))


def translated(
    plan: Plan, arm: rg.TranslatorPreset, table: rg.ReidTable, known: list[int], cameras: list[int]
) -> rg.ReidTable:
    """Every labelled train crop in the style of each other camera."""
    labelled = table.where(pl.col("camid").is_in(known))
    both_ways = arm in ("camstyle", "spgan")
    ways = [(a, b) for a, b in itertools.product(known, cameras) if a != b]
    learned: dict[tuple[int, int] | None, list[tuple[int, int]]]
    if arm == "stargan":
        learned = {None: ways}
    elif both_ways:
        learned = {pair: [way for way in ways if set(way) == set(pair)] for pair in itertools.combinations(cameras, 2)}
    else:
        learned = {way: [way] for way in ways}
    moved = []
    for pair, moves in learned.items():
        if not moves:
            continue
        name = arm if pair is None else f"{arm}-{pair[0]}-{pair[1]}"
        translator = rg.train_translator(table, config_of(plan, arm, pair), out=plan.out / f"translator-{name}")
        for a, b in moves:
            folder = plan.out / f"translated-{arm}-{a}-{b}"
            moved.append(rg.translate(translator, labelled, source=a, target=b, outputs=plan.outputs, out=folder))
    return rg.ReidTable.concat(moved, name=arm) if len(moved) > 1 else moved[0]


def config_of(plan: Plan, arm: rg.TranslatorPreset, pair: tuple[int, int] | None) -> rg.TranslatorConfig:
    """One translator's training."""
    source, target = pair or (None, None)
    config = rg.TranslatorConfig(
        preset=arm,
        source=source,
        target=target,
        size=plan.reid.size,
        steps=plan.translator_steps,
        width=plan.translator_width,
    )
    if plan.translator_batch is not None and config.family == "paired":
        config = dataclasses.replace(config, batch=plan.translator_batch)
    return config


def trained(plan: Plan, arm: str, table: rg.ReidTable, test: rg.ReidTable, seed: int) -> dict[str, float]:
    """One network and its evaluation: mAP, rank1, and the number of moved crops that it learned from."""
    name = name_of(arm, seed)
    done = plan.out / f"result-{name}"
    if not (done / "result.json").is_file():
        model = rg.train_reid(table, dataclasses.replace(plan.reid, seed=seed), out=plan.out / f"reid-{name}")
        rg.evaluate_reid(model, test, out=done)
    result = json.loads((done / "result.json").read_text(encoding="utf-8"))
    print(f"{name}: mAP {result['mAP']:.2%}, rank-1 {result['rank1']:.2%}", flush=True)
    return {"mAP": result["mAP"], "rank1": result["rank1"], "moved": result["facts"]["generated_images"]}


def name_of(arm: str, seed: int) -> str:
    """Of a training, in the names of its folders."""
    return f"{arm.replace(' ', '-')}-{seed}"


def page(plan: Plan, arm: str) -> Path:
    """A page of an arm beside the labelled crops alone."""
    names = [[name_of(one, seed) for seed in plan.seeds] for one in (ALONE, arm)]
    before, after = ([plan.out / f"result-{name}" for name in group] for group in names)
    kinds = (f"translator-{arm}", f"translator-{arm}-[0-9]*", f"translated-{arm}-[0-9]*", f"extended-{arm}")
    made = [folder for kind in kinds for folder in sorted(plan.out.glob(kind))]
    trainings = [plan.out / f"reid-{name}" for group in names for name in group]
    out = plan.out / f"page-{arm}-{'-'.join(map(str, plan.seeds))}"
    title = rg.ReportConfig(title=f"Did people moved by {arm} help?")
    return rg.write_report(title, baseline=before, extended=after, runs=[*made, *trainings], out=out)


def write_tables(
    plan: Plan, found: dict[str, dict[int, dict[str, float]]], known: list[int], cameras: list[int]
) -> None:
    """results.json, and results.md: each arm beside the labelled crops alone, paired by seed."""
    lines = [
        f"Cameras {', '.join(map(str, cameras))}; labelled: {', '.join(map(str, known))}.\n",
        "| arm | moved crops | mAP, % | rank-1, % | mAP less labelled alone, 95 % interval |",
        "|---" * 5 + "|",
    ]
    base = {seed: one["mAP"] for seed, one in found[ALONE].items()}
    for arm, by_seed in found.items():
        off = rg.difference(base, {seed: one["mAP"] for seed, one in by_seed.items()})
        interval = off.interval()
        told = "" if arm == ALONE else f"{off.points()} ({interval})" if interval else off.points()
        figures = [rg.Spread(tuple(one[name] for one in by_seed.values())).percent() for name in ("mAP", "rank1")]
        moved = next(iter(by_seed.values()))["moved"]
        lines.append(f"| {arm} | {moved:.0f} | {' | '.join(figures)} | {told} |")
    seeds = len(base)
    lines.append(f"\n{plan.reid.steps} steps each, {seeds} seed{'s' if seeds > 1 else ', a single run'}.")
    (plan.out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (plan.out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Plan, description=__doc__))
