"""Run folders as the other stages write them, in miniature and without computing anything."""

import hashlib
from pathlib import Path

import polars as pl

from reidgen.config import EvaluateConfig, GenerateConfig, PrepareConfig, ReidConfig, StyleGANConfig, VariantsConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.evaluate import Result, protocol_in_words
from reidgen.filters import SSIMFilter
from reidgen.filters.apply import apply_filters
from reidgen.reid.ranking.rankings import as_trained
from tests.factories import make_table, write_crop


def people_run(folder, *, origin="rendered"):
    """A prepared table of 4 train people and 3 test people."""
    pids, splits = [1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 5, 6, 7], ["train"] * 8 + ["query"] * 3 + ["gallery"] * 3
    table = make_table(
        pids, [1, 2] * 4 + [1] * 3 + [2] * 3, splits=splits, root=folder, origin=[origin] * 14, name="made"
    )
    run = RunFolder.begin(folder, stage="prepare", config=PrepareConfig(), inputs={"root": "somewhere"})
    table.write_metadata(folder)
    run.finish({})
    return folder


def generator_facts(*, origins=("rendered",), split="train", **more):
    return {"split": split, "images": 8, "origins": list(origins), "kimg": 2.0, "parent": None, "ancestors": [], **more}


def generator_run(folder, *, config=StyleGANConfig(size=(32, 16), kimg=2), **facts):
    run = RunFolder.begin(folder, stage="train-generator", config=config, inputs={})
    names = ("loss_g", "loss_d", "d_real", "d_fake", "r_t", *(["ada_p"] if hasattr(config, "augment") else []))
    for step in range(1, 6):
        figures = dict.fromkeys(names, step / 10)
        run.metrics.write(step=step, kimg=step * 0.4, **figures)
    for kimg in (1, 2):
        write_crop(folder / f"fakes-{kimg:06d}.png", seed=kimg)
    run.finish(generator_facts(**facts))
    return folder


def generated_run(folder, **facts):
    """Two generated people of three crops each, one of which is the person's first crop again."""
    pids, names = (
        [1, 1, 1, 2, 2, 2],
        [f"bounding_box_train/{p:04d}_c{1 + i % 2}s1_{i:06d}_00.jpg" for i, p in enumerate([1, 1, 1, 2, 2, 2])],
    )
    parents = [None, names[0], names[0], None, names[3], names[3]]
    table = make_table(pids, root=folder, origin=["generated"] * 6, parent=parents, name="generated")
    table.paths[2].write_bytes(table.paths[0].read_bytes())
    run = RunFolder.begin(folder, stage="generate people", config=GenerateConfig(people=2, variants=3), inputs={})
    table.write_metadata(folder)
    run.finish({"generator_training": generator_facts(**facts)})
    return folder


def variants_run(folder, people, *, parent_origin):
    """Crops of generate variants: two people of the table, an inversion and two variants of the first crop of each."""
    firsts = [people.rows["file_name"][0]] * 3 + [people.rows["file_name"][4]] * 3
    table = make_table(
        [1, 1, 1, 3, 3, 3],
        [1] * 6,
        root=folder,
        name="variants",
        origin=["generated"] * 6,
        parent=firsts,
        parent_origin=[parent_origin] * 6,
        mix=["reconstruction", "coarse", "fine"] * 2,
        identity=["keep", "keep", "new"] * 2,
    )
    run = RunFolder.begin(folder, stage="generate variants", config=VariantsConfig(), inputs={})
    table.write_metadata(folder)
    run.finish({"generator_training": {"split": "train", "origins": ["rendered"], "ancestors": []}})
    return folder


def filtered_run(folder, generated, reference):
    apply_filters(generated, [SSIMFilter(-1)], reference, folder, calibrate="draw")
    return folder


def training_run(folder, *, seed=0, steps=40, lr=0.05, label="table"):
    config = ReidConfig(seed=seed, steps=steps, lr=lr, generated_label=label)
    run = RunFolder.begin(folder, stage="train-reid", config=config, inputs={"crops": "aa" * 32})
    for epoch in (1, 2):
        run.metrics.write(
            epoch=epoch,
            step=epoch * 20,
            train_loss=2.0 / epoch,
            train_error=0.5 / epoch,
            val_loss=3.0 / epoch,
            val_error=None,
        )
    (folder / "reid.safetensors").write_bytes(f"weights {folder.name}".encode())
    run.finish({})
    return folder


def evaluation_run(
    folder, people, *, training=None, seed=0, mAP=0.3, steps=40, generated=0, config=None, crops="cc" * 32, **facts
):
    """An evaluation with one ranked list a query: first a mistake, then the match."""
    query, gallery = people.query.rows, people.gallery.rows
    order = [[(i + 1) % 3, i] for i in range(3)]
    config = as_trained(config or EvaluateConfig(), None)
    model = f"weights {training.name}".encode() if training else b"weights of nobody"
    facts = {
        "steps": steps,
        "images": 4 + generated,
        "people": 4 + (generated > 0),
        "generated_images": generated,
        "generated_people": 2 if generated else 0,
        "generated_share": generated / (4 + generated),
        "dataset": "made",
        "crops": crops,
        "model": hashlib.sha256(model).hexdigest(),
        "training_seed": seed,
        **facts,
    }
    run = RunFolder.begin(folder, stage="evaluate", config=config, inputs={"model": facts["model"]})
    lists = {
        "ranked_files": [[gallery["file_name"][i] for i in one] for one in order],
        "ranked_paths": [[str(people.gallery.paths[i]) for i in one] for one in order],
        "ranked_pids": [[gallery["pid"][i] for i in one] for one in order],
        "ranked_camids": [[2, 2]] * 3,
        "correct": [[False, True]] * 3,
    }
    figures = {"ap": [0.5, 0.5, None], "ap_trapezoid": [0.25] * 3, "inp": [0.5] * 3, "first_rank": [2, 2, 0]}
    paths = pl.Series("path", [str(path) for path in people.query.paths])
    Result(
        mAP=mAP,
        mAP_trapezoid=mAP - 0.02,
        mINP=mAP - 0.1,
        rank1=mAP + 0.1,
        rank5=mAP + 0.2,
        rank10=mAP + 0.3,
        rank20=1.0,
        cmc=[1.0] * 50,
        num_queries=3,
        num_unmatched=1,
        num_gallery=3,
        protocol=protocol_in_words(config),
        facts=facts,
        config={},
        per_query=query.select("file_name", paths, "pid", "camid").with_columns(
            pl.Series(name, values) for name, values in {**figures, **lists}.items()
        ),
    ).write(folder)
    run.finish({})
    return folder


def whole_story(root: Path, *, origin="rendered", origins=("rendered",)):
    """Every stage: folders of baselines, of extended runs, and of the rest."""
    people = ReidTable.read(people_run(root / "people", origin=origin))
    generated = ReidTable.read(generated_run(root / "generated", origins=origins))
    filtered_run(root / "filtered", generated, people.train)
    runs = [root / "people", generator_run(root / "gan", origins=origins), root / "generated", root / "filtered"]
    groups = {"baseline": [], "extended": []}
    for kind, folders in groups.items():
        for seed in (0, 1):
            training = training_run(root / f"reid-{kind}-{seed}", seed=seed)
            more = 0.1 if kind == "extended" else 0
            folders.append(
                evaluation_run(
                    root / f"evaluate-{kind}-{seed}",
                    people,
                    training=training,
                    seed=seed,
                    mAP=0.3 + more + 0.01 * seed,
                    generated=5 if more else 0,
                )
            )
            runs.append(training)
    return {**groups, "runs": runs}
