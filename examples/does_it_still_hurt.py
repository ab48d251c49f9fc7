"""Do generated crops of real people still hurt re-ID? Crops a person, filters and weights, over seeds, on any table.

    python examples/does_it_still_hurt.py --data runs/cuhk03 --generator runs/gan --out runs/hurt

The first people of the train split are re-generated: some crops of each are searched for in w+, and variants made of
them. Each arm adds some of the variants to these people's real crops: all alike ("none"), those that the thesis's two
filters keep ("sources"), those that filters which know people keep ("ours"), and the last with a smaller weight of
their loss ("light"). For each arm, each number of crops a person and each seed one re-ID network is trained, all with
the same number of optimisation steps, and evaluated on the query and gallery of other people. The same again for
people of whom there are few real crops.

A run that is stopped goes on where it was: give the same command again. Several processes may share the work, each
with seeds of its own (--seeds 0, --seeds 1); the same command with all seeds then writes the tables, results.md and
results.json.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import tyro

import reidgen as rg

Arm = Literal["none", "sources", "ours", "light", "ratio", "ratio_none"]
SHUFFLE = 0  # seed of the order in which crops of a person are added: the same for all trainings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared.

    Attributes:
        data: Table with train, query and gallery, as written by reidgen.
        generator: Run folder or weights of a generator that has not learned from the query's and gallery's people.
        out: Folder of all runs.
        people: Re-ID learns from the first N people of the train split.
        crops: Real crops of each that are searched for in w+; where real crops are few, these are all of them.
        variants: Crops made of each of them.
        mix: What is mixed into the variants, by turns; all of it may keep the label, unless a filter says no.
        psi: Truncation of the donors.
        weight: How far the mixed layers go towards the donor.
        arms: Which filters and weights are compared; "ratio" has the crops of "ours" as a fixed part of each batch,
            "ratio_none" those of "none".
        added: Generated crops a person beside all real crops; fewer where the filter has kept fewer.
        few_arms: The arms where real crops are few.
        few_added: Generated crops a person there; none leaves that out.
        label_weight: Weight of a generated crop's loss in the arm "light".
        ratio: Real and generated crops in each batch of these two, as parts.
        judge: Run folder of train-reid, by which the identity filter judges. None: one is trained on the people of the
            train split who are not among the first N, for `judge_steps`.
        judge_steps: Length of that training.
        ours: Filters of the arms "ours" and "light".
        features: Feature network of realism and diversity; None: the judge's.
        detector: Person detector of the arm "sources", as in reidgen filter; none leaves SSIM alone.
        search_steps: Steps of the search for a crop's w+.
        perceptual_weights: ResNet-50 of the search, as in generate variants; none searches by pixels alone.
        perceptual_stride_in: Layout of these weights.
        seeds: A training each.
        steps: Optimisation steps of each re-ID training.
        backbone: Re-ID network.
        size: (height, width) of its crops.
        weights: "random", a file of the backbone's weights, or the run folder of a train-reid, whose backbone is taken.
        precision: Of the re-ID trainings.
    """

    data: Path
    generator: Path
    out: Path
    people: int = 80
    crops: int = 5
    variants: int = 41
    mix: tuple[str, ...] = ("coarse", "middle", "fine", "between")
    psi: float = 1.0
    weight: float = 1.0
    arms: tuple[Arm, ...] = ("none", "sources", "ours", "light")
    added: tuple[int, ...] = (5, 20, 60)
    few_arms: tuple[Arm, ...] = ("none", "sources", "ours", "light")
    few_added: tuple[int, ...] = (20,)
    label_weight: float = 0.3
    ratio: tuple[int, int] = (3, 1)
    judge: Path | None = None
    judge_steps: int = 1500
    ours: tuple[Literal["identity", "realism", "diversity"], ...] = ("identity", "diversity")
    features: str | None = None
    detector: str | None = "yolov4-tiny"
    search_steps: int = 80
    perceptual_weights: str | None = "imagenet"
    perceptual_stride_in: Literal["3x3", "1x1"] = "3x3"
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 300
    backbone: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    size: tuple[int, int] = (64, 32)
    weights: str = "random"
    precision: Literal["float32", "bf16"] = "float32"

    def reid(self, seed: int, arm: str) -> rg.ReidConfig:
        """One re-ID training of an arm."""
        return rg.ReidConfig(
            backbone=self.backbone,
            weights=self.weights,
            size=self.size,
            bottleneck=128,
            augment=rg.AugmentConfig(pad=4),
            steps=self.steps,
            backbone_lr=1.0,
            warmup=0.1,
            validation="none",
            generated_weight=self.label_weight if arm == "light" else 1.0,
            generated_ratio=self.ratio if arm.startswith("ratio") else None,
            precision=self.precision,
            seed=seed,
        )

    @property
    def points(self) -> list[tuple[str, str, int]]:
        """Which real crops, which arm, how many generated crops a person; the baselines first."""
        found: list[tuple[str, str, int]] = []
        for reals, counts, arms in (("all", self.added, self.arms), ("few", self.few_added, self.few_arms)):
            if counts:
                found += [(reals, "base", 0), *((reals, arm, n) for n in counts for arm in arms)]
        return found


def parted(plan: Plan) -> tuple[rg.ReidTable, rg.ReidTable]:
    """The first people of the train split, with the test people; and the other people of the train split."""
    table = rg.ReidTable.read(plan.data)
    known = sorted({pid for pid in table.train.pids.tolist() if pid > 0})
    chosen = pl.col("pid").is_in(known[: plan.people])
    return table.where((pl.col("split") != "train") | chosen), table.train.where((pl.col("pid") > 0) & ~chosen)


def judge_of(plan: Plan, others: rg.ReidTable) -> Path:
    """The network of the identity filter; it knows nobody whom it judges."""
    if plan.judge is not None:
        return plan.judge
    folder = plan.out / "judge"
    rg.train_reid(others, dataclasses.replace(plan.reid(0, "base"), steps=plan.judge_steps), out=folder)
    return folder


def variants_of(plan: Plan, real: rg.ReidTable) -> rg.ReidTable:
    """Variants of the first crops of each person, each with the label of the person."""
    looks = {"perceptual_weights": plan.perceptual_weights} if plan.perceptual_weights else {"perceptual_weight": 0.0}
    config = rg.VariantsConfig(
        invert="optimise",
        search_steps=plan.search_steps,
        crops=plan.crops,
        variants=plan.variants,
        mix=plan.mix,
        keeps=plan.mix,
        psi=plan.psi,
        weight=plan.weight,
        reid_weight=0,  # the search must not please the network that judges
        perceptual_stride_in=plan.perceptual_stride_in,
        **looks,
    )
    gan = rg.load_generator(plan.generator)
    return rg.generate_variants(gan, real, config, likeness=rg.load_likeness(config), out=plan.out / "variants")


def filtered(plan: Plan, arm: str, made: rg.ReidTable, judge: Path, real: rg.ReidTable, name: str) -> rg.ReidTable:
    """The variants with the verdicts of an arm's filters."""
    if arm == "none":
        return made
    if arm == "sources":
        config = rg.FilterConfig(filters=("ssim",), ssim_range="4095", ssim_threshold=0.75)
        if plan.detector:
            config = dataclasses.replace(config, filters=("detector", "ssim"), detector=plan.detector)
    else:
        config = rg.FilterConfig(filters=plan.ours, reid=str(judge), features=plan.features)
    return rg.run_filters(made, config, reference=real.train, out=plan.out / f"filtered-{name}")


def pool_of(kind: str, arm: str) -> tuple[str, str]:
    """Which crops an arm takes: by which real crops, through which filters. The thesis's rules ask no real crops."""
    filtered_by = {"light": "ours", "ratio": "ours", "ratio_none": "none"}.get(arm, arm)
    return ("all" if arm == "sources" else kind, filtered_by)


def shuffled(table: rg.ReidTable) -> rg.ReidTable:
    """The rows in another order, so that the first crops of a person are of all its real crops and all mixes."""
    order = np.random.default_rng(SHUFFLE).permutation(len(table))
    return rg.ReidTable(table.rows[order], table.name)


def main(plan: Plan) -> None:
    """Invert, generate, filter, train and evaluate what is missing, and write the tables."""
    real, others = parted(plan)
    judge, made = judge_of(plan, others), variants_of(plan, real)
    inverted = pl.col("file_name").is_in(made.rows["parent"].unique().to_list())
    reals = {"all": real, "few": real.where((pl.col("split") != "train") | inverted)}
    pools: dict[tuple[str, str], rg.ReidTable] = {}
    for kind, arm, _ in plan.points:
        if arm != "base" and (key := pool_of(kind, arm)) not in pools:
            pools[key] = shuffled(filtered(plan, key[1], made, judge, reals[key[0]], "-".join(key)))
    found: dict[tuple[str, str, int], dict[int, dict[str, float]]] = {point: {} for point in plan.points}
    for seed in plan.seeds:  # all points of a seed before the next seed: an early look is at whole comparisons
        for point in plan.points:
            kind, arm, added = point
            pool = pools.get(pool_of(kind, arm))
            found[point][seed] = trained(plan, reals[kind], pool, f"{kind}-{arm}-{added}-{seed}", arm, added, seed)
        write_tables(plan, found)
    print((plan.out / "results.md").read_text(encoding="utf-8"))


def trained(
    plan: Plan, real: rg.ReidTable, pool: rg.ReidTable | None, name: str, arm: str, added: int, seed: int
) -> dict[str, float]:
    """One network and its evaluation: mAP, rank1, and generated crops a person."""
    done = plan.out / f"result-{name}"
    if not (done / "result.json").is_file():
        table = real
        if pool is not None:
            table = rg.extend(real, pool, crops_per_person=added, label="same", unjudged="allow")
        model = rg.train_reid(table, plan.reid(seed, arm), out=plan.out / f"reid-{name}")
        rg.evaluate_reid(model, real, rg.EvaluateConfig(flip="none", seed=seed), out=done)
    result = json.loads((done / "result.json").read_text(encoding="utf-8"))
    facts = result["facts"]
    per_person = facts["generated_images"] / facts["people"]
    print(f"{name}: mAP {result['mAP']:.2%}, rank-1 {result['rank1']:.2%}, {per_person:.1f} added a person", flush=True)
    return {"mAP": result["mAP"], "rank1": result["rank1"], "added": per_person}


def write_tables(plan: Plan, found: dict[tuple[str, str, int], dict[int, dict[str, float]]]) -> None:
    """results.json, and results.md: each point beside the baseline of the same real crops, paired by seed."""
    lines = [
        "| real crops | crops | + a person | really added | mAP, % | rank-1, % | mAP less baseline, 95 % interval |",
        "|---" * 7 + "|",
    ]
    for (kind, arm, added), by_seed in found.items():
        if not by_seed:
            continue
        base = {seed: one["mAP"] for seed, one in found[kind, "base", 0].items() if seed in by_seed}
        here = {seed: one["mAP"] for seed, one in by_seed.items()}
        off = rg.difference(base, here)
        interval = off.interval()
        told = "" if arm == "base" else f"{off.points()} ({interval})" if interval else off.points()
        figures = [rg.Spread(tuple(one[name] for one in by_seed.values())).percent() for name in ("mAP", "rank1")]
        really = np.mean([one["added"] for one in by_seed.values()])
        lines.append(f"| {kind} | {arm} | {added} | {really:.1f} | {' | '.join(figures)} | {told} |")
    seeds = max(map(len, found.values()))
    lines.append(f"\n{plan.steps} steps each, {seeds} seed{'s' if seeds > 1 else ', a single run'}.")
    (plan.out / "results.md").write_text("\n".join(lines) + "\n")
    points = [
        {"reals": k, "arm": a, "asked": n, "by_seed": {str(s): one for s, one in v.items()}}
        for (k, a, n), v in found.items()
    ]
    (plan.out / "results.json").write_text(json.dumps({"points": points}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Plan, description=__doc__))
