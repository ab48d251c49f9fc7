import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from reidgen.backbones.reid_model import embed, load_reid
from reidgen.cli import main
from reidgen.config import AugmentConfig, ExtendConfig, SweepConfig
from reidgen.config.sweep.arms import read_arm
from reidgen.data.augment import normalise
from reidgen.data.pixels.store import CropStore
from reidgen.data.table import ReidTable
from reidgen.engine.checkpoint import load_weights, save_weights
from reidgen.errors import ConfigError, DataError, WeightsError, on_command_line
from reidgen.models import resnet
from reidgen.reid.supervised.people import learned
from reidgen.reid.train import train_reid
from reidgen.report.folders import Run
from reidgen.report.sweep.measure import worth
from reidgen.sweep import run
from reidgen.sweep.launching import worker
from reidgen.sweep.plan import Job, plan
from reidgen.sweep.point import finished, run_point, write_point
from reidgen.sweep.run import describe, sweep
from reidgen.sweep.start import check_starts, start_network
from reidgen.sweep.tables import check_people, table_of
from tests.factories import make_table
from tests.sweep.made import REID, Inline, generated_table, pretend, real_table, variants_table


@pytest.fixture
def real(tmp_path):
    return ReidTable.read(real_table(tmp_path / "real"))


def config(*arms, **changes):
    return SweepConfig(**{"preset": "worth", "arm": arms, "seeds": 2, "reid": REID, **changes})


def job(*, share=1.0, extend=None, seed=0, **changes):
    return Job("job", seed, share, extend, dataclasses.replace(REID, **changes))


def test_an_arm_is_a_name_with_options():
    arm = read_arm("two words: generated='my runs/kept' label=new generated_label=lsro people=30 weights=C:\\start")
    assert arm.name == "two words" and arm.generated == "my runs/kept"
    assert {one.name: (one.where, one.values) for one in arm.options} == {
        "label": ("extend", ("new",)),
        "generated_label": ("training", ("lsro",)),
        "people": ("extend", (30,)),
        "weights": ("training", ("C:\\start",)),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weights=runs/start", "has to be a name with options"),
        ("start:", "has to be a name with options"),
        ("start: weights=", "has to be a name with options"),
        ("start: weights='runs", "has to be a name with options"),
        ("baseline: weights=runs/start", "No arm is the baseline"),
        ("start: weight=runs/start", "--arm 'start: weights=...'"),
        ("start: weights=a,b", "one value for each option"),
        ("start: real=1/2", "one value for each option"),
        ("start: lr=fast", "--arm lr has a value of another kind"),
        ("start: lr=1 lr=2", "gives an option twice"),
        ("start: people=3", "how crops are added, and not which"),
    ],
)
def test_what_is_no_arm_is_told(text, said):
    with pytest.raises(ConfigError) as told:
        read_arm(text)
    assert said in told.value.told(on_command_line)


def test_arms_share_the_baselines_length_and_test():
    arms = ("start: weights=runs/start", "new: generated=runs/fake people=2", "erased: augment.erase=0.5")
    points = plan(config(*arms, axis=("real=all,0",), seeds=1), generated=False, steps_of=lambda reid: 70 * reid.epochs)
    jobs = {point.job.name: point.job for point in points}
    assert list(jobs) == [
        f"{name}/seed-0"
        for share in ("all", "0")
        for name in (f"baseline_real-{share}", *(f"real-{share}_arm-{arm}" for arm in ("start", "new", "erased")))
    ]
    assert {one.training.steps for one in jobs.values()} == {70}
    new = jobs["real-all_arm-new/seed-0"]
    assert (new.generated, new.extend) == ("runs/fake", ExtendConfig(people=2))
    start = jobs["real-0_arm-start/seed-0"]
    assert (start.generated, start.extend, start.share, start.training.weights) == (None, None, 0, "runs/start")
    assert jobs["real-all_arm-erased/seed-0"].training.augment.erase == 0.5
    assert jobs["baseline_real-all/seed-0"].training == dataclasses.replace(REID, steps=70)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arm": ("long: steps=900",)}, "another length than the baseline"),
        ({"arm": ("long: epochs=9",)}, "another length than the baseline"),
        ({"arm": ("wide: batch=8",)}, "another length than the baseline"),
        ({"arm": ("bag: recipe=softmax batch=4",)}, "tested in another way"),
        ({"arm": ("a: lr=1", "a: lr=2")}, "Two arms have one name"),
        ({"arm": ("a: lr=1",), "length": "epochs"}, "of equal reid.steps"),
    ],
)
def test_unequal_arms_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        plan(config(**changes), generated=False)


def test_another_recipe_is_an_arm_where_the_test_is_fixed():
    fixed = dataclasses.replace(SweepConfig().evaluate, metric="cosine", flip="sum")
    points = plan(config("bag: recipe=softmax batch=4", evaluate=fixed), generated=False, steps_of=lambda reid: 9)
    bag = next(point.job.training for point in points if point.values["arm"] == "bag")
    assert (bag.recipe, bag.optimizer, bag.steps, bag.epochs) == ("softmax", "adam", 9, REID.epochs)


def test_crops_of_people_who_are_not_labelled_are_lost_whatever_their_label(real, tmp_path):
    variants = ReidTable.read(variants_table(tmp_path / "variants", real))
    for label, people in (("new", 4), ("same", 2)):
        table = table_of(job(share=0.25, extend=ExtendConfig(label=label)), real, variants)
        added = table.where(pl.col("origin") == "generated")
        here = set(table.train.where(pl.col("origin") == "real").rows["file_name"])
        assert set(added.rows["parent"]) <= here and len(added) == 2 * 3
        assert table.train.rows["pid"].n_unique() == people


def test_a_crop_of_another_dataset_with_the_name_of_one_that_is_left_out_stays(real, tmp_path):
    variants = ReidTable.read(variants_table(tmp_path / "variants", real))
    rows = variants.rows.with_columns(parent_origin=pl.lit("rendered"))
    table = table_of(job(share=0.25, extend=ExtendConfig()), real, dataclasses.replace(variants, rows=rows))
    assert (table.train.rows["origin"] == "generated").sum() == 24


def test_without_labelled_people_an_arms_own_people_are_all_there_is(real, tmp_path):
    fake = ReidTable.read(generated_table(tmp_path / "fake"))
    table = table_of(job(share=0, extend=ExtendConfig(people=2)), real, fake)
    assert len(table) == len(table.train) == 6 and (table.rows["origin"] == "generated").all()
    variants = ReidTable.read(variants_table(tmp_path / "variants", real))
    nobody = [
        table_of(job(share=0), real, None),
        table_of(job(share=0, extend=ExtendConfig()), real, variants),
        table_of(job(share=0, extend=ExtendConfig(label="same")), real, variants),
        table_of(job(share=0, extend=ExtendConfig(), generated_label="lsro"), real, fake),
    ]
    assert [len(one.train) for one in nobody] == [0] * 4


def test_the_smallest_share_is_told(real):
    """8 people of one crop each to learn from, batches of 4: four people or more."""
    check_people([job(share=0.5), job(share=0)], real)
    with pytest.raises(ConfigError) as told:
        check_people([job(share=3 / 8)], real)
    assert "got: 3/8, 3 of 8 people, seed 0" in str(told.value) and "shares from 4/8 on, or 0" in str(told.value)
    with pytest.raises(ConfigError, match="2 people or more: shares from 2/8"):
        check_people([job(share=1 / 8, batch=2, validation="none")], real)
    by_people = job(share=0.5, batch=12, sampler="people", crops_per_person=2, validation="none")
    with pytest.raises(ConfigError, match="6 people or more: shares from 6/8"):
        check_people([by_people], real)
    check_people([job(share=1 / 8, extend=ExtendConfig())], real)  # what is added is looked at when it is made


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A training on other people."""
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
    others = make_table([1, 1, 2, 2, 3, 3, 4, 4, 5, 5], root=tmp_path / "others", size=(16, 40))
    train_reid(others, dataclasses.replace(REID, steps=2, seed=5), out=tmp_path / "start")
    return tmp_path / "start"


def test_a_start_is_measured_as_it_is(real, start, tmp_path):
    own = start_network(dataclasses.replace(REID, weights=str(start), seed=3), out=tmp_path / "own")
    assert own.embed(real.query).equal(load_reid(start).embed(real.query))
    assert own.config.seed == 3 and own.facts["steps"] == own.facts["people"] == 0
    assert Run.read(tmp_path / "own").kind == "start"  # the page of a sweep whose first share is 0 lists it
    again = start_network(dataclasses.replace(REID, weights=str(start), seed=3), out=tmp_path / "own")
    assert again.hash == own.hash


def test_of_other_weights_the_features_are_measured(real, tmp_path, monkeypatch):
    """Pooled maps of the backbone, by itself, summed with those of the mirrored crop."""
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
    network = resnet.ResNet("resnet18")
    network.initialise(torch.Generator().manual_seed(1))
    save_weights(tmp_path / "r.safetensors", network.state_dict(), config={})
    training = dataclasses.replace(REID, weights=str(tmp_path / "r.safetensors"))
    images = normalise(CropStore.open(real.query, size=(32, 16)).batch(np.arange(3)))
    with torch.inference_mode():
        expected = sum(network.eval()(one).mean(dim=(2, 3)) for one in (images, images.flip(3)))
    found = start_network(training, out=tmp_path / "out").embed(real.query)
    torch.testing.assert_close(found, expected)
    chance = start_network(REID, out=tmp_path / "chance").embed(real.query)
    other = start_network(dataclasses.replace(REID, seed=1), out=tmp_path / "other").embed(real.query)
    assert chance.shape == other.shape == expected.shape and not chance.allclose(other)


def test_weights_are_looked_at_before_anything_starts(real, start, tmp_path):
    check_starts([job(share=0.5, weights=str(start))], real)
    with pytest.raises(WeightsError, match="no weight file"):
        check_starts([job(weights=str(tmp_path / "nowhere"))], real)
    with pytest.raises(WeightsError, match="does not fit"):
        check_starts([job(weights=str(start), backbone="resnet34")], real)


@pytest.mark.parametrize(
    ("split", "without_labels", "refused"),
    [("query", True, True), ("train", False, True), ("train", True, False)],
)
def test_a_start_that_has_seen_them_is_refused(real, start, split, without_labels, refused):
    """Test crops are never to be learned from; train crops without their labels are everybody's."""
    tensors, known = load_weights(start / "reid.safetensors")
    known["learned"] = learned(real.where(pl.col("split") == split))
    if without_labels:
        known["unsupervised"] = {}
    save_weights(start / "reid.safetensors", tensors, config=known)
    asked = [job(share=1, weights=str(start)), job(share=0, weights=str(start))]
    if not refused:
        check_starts(asked, real)
        return
    with pytest.raises(DataError, match="must not know"):
        check_starts(asked, real)
    if split == "train":
        check_starts(asked[:1], real)  # at all people nobody is left out


@pytest.fixture
def inline(monkeypatch):
    used = []

    def workers(*_):
        used.append(Inline())
        return used[-1]

    monkeypatch.setattr(run, "_workers", workers)
    return used


@pytest.mark.slow
def test_arms_are_trained_at_every_share(real, start, inline, tmp_path):
    fake = generated_table(tmp_path / "fake")
    arms = (f"start: weights={start}", f"new: generated={fake}")
    found = sweep(tmp_path / "real", config(*arms, axis=("real=all,1/2,0",), seeds=1), out=tmp_path / "sweep").points
    told = found.select("axis_real", "axis_arm", "people_trained_on", "generated_people", "steps").rows()
    assert told == [
        (1.0, "baseline", 8, 0, 2), (1.0, "start", 8, 0, 2), (1.0, "new", 11, 3, 2),
        (0.5, "baseline", 4, 0, 2), (0.5, "start", 4, 0, 2), (0.5, "new", 7, 3, 2),
        (0.0, "baseline", 0, 0, 0), (0.0, "start", 0, 0, 0), (0.0, "new", 3, 3, 2),
    ]  # fmt: skip
    assert found["protocol"].n_unique() == found["test_hash"].n_unique() == 1
    trained = load_reid(start)
    embeddings = embed(trained.network, CropStore.open(real.query, size=(32, 16)))
    as_it_is = load_reid(tmp_path / "sweep" / "runs" / found.row(7, named=True)["run"] / "train")
    assert as_it_is.embed(real.query).equal(embeddings)
    again = sweep(tmp_path / "real", config(*arms, axis=("real=all,1/2,0",), seeds=1), out=tmp_path / "sweep").points
    assert again.equals(found) and len(inline) == 1


def counted(order):
    """Figures of a pretended run: the baseline has .1 mAP more at twice the people, an arm as many as twice its own."""
    before = finished(order)
    if before is not None:
        return before
    found = run_point(order) if "real-all" in order["name"] else pretend(order)  # the page shows those of all people
    share, arm = order["asked"]["share"], "arm" in order["name"]
    people = 8 * share * (2 if arm else 1)
    found["people"] = round(8 * share) + (3 if arm else 0)
    found["mAP"] = 0.1 * np.log2(people) + 0.001 * order["asked"]["seed"] if people else 0.0
    found["steps"], found["wall_sec"] = 2 if share else 0, 0.5
    found |= dict.fromkeys(("protocol", "test_hash"), "same")
    write_point(Path(order["folder"]), order["asked"], found)
    return found


@pytest.mark.slow
def test_the_worth_of_an_arm_and_its_page(real, start, inline, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(worker, "run_point", counted)
    asked = ["worth", "--real", str(tmp_path / "real"), "--arm", f"start: weights={start}", "--axis",
             "real=all,1/2,0", "--seeds", "2", "--reid.backbone", "resnet18", "--reid.weights", "random",
             "--reid.size", "32", "16", "--reid.batch", "4", "--reid.steps", "2", "--reid.bottleneck", "8",
             "--reid.device", "cpu", "--out", str(tmp_path / "out")]  # fmt: skip
    main([*asked, "--dry-run"])
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == 12 and [one["steps"] for one in told["points"]] == [2] * 8 + [0] * 4
    main(asked)
    told = capsys.readouterr().out
    assert (
        "With 4 labelled people (1/2) “start” has the mAP that the baseline has with 8 (95 % interval: 8 to more"
        in told
    )
    page = tmp_path / "out" / "page"
    rows = json.loads((page / "worth.json").read_text())["places"]
    assert [(row["share"], row["labelled_people"], row["worth"]) for row in rows] == [
        (1.0, 8, "more than 8"), (0.5, 4, "8"), (0.0, 0, "fewer than 4"),
    ]  # fmt: skip
    assert rows[1]["worth_people"] == pytest.approx(8) and rows[1]["steps"] == 2 and rows[1]["seconds_a_run"] == 0.5
    assert pl.read_csv(page / "worth.csv")["arm"].to_list() == ["start"] * 3
    text = (page / "index.html").read_text()
    assert "How many labelled people is it worth?" in text and "rests on 2 seeds" in text
    assert "Confounded" not in text  # the start that is measured as it is has no length
    assert {"worth.png", "worth.svg", "worth-curve.png"} <= {path.name for path in (page / "figures").iterdir()}

    more = SweepConfig(
        preset="worth", arm=(f"start: weights={start}", "erased: augment.erase=0.5"), axis=("real=all,1/2,0",), seeds=2,
        reid=dataclasses.replace(REID, augment=AugmentConfig(), epochs=60, steps=2),
    )  # fmt: skip
    found = worth(tmp_path / "real", more, out=tmp_path / "out")
    assert inline[-1].seen == [f"real-{share}_arm-erased/seed-{n}" for share in ("all", "1of2", "0") for n in (0, 1)]
    assert found["arm"].to_list() == ["start"] * 3 + ["erased"] * 3


def test_a_worth_without_arms_or_with_other_axes_is_told(real, tmp_path):
    for asked, said in (
        (config(), "nothing to measure the worth of"),
        (config("a: lr=1", axis=("real=all,0",)), "over the number of labelled people alone"),
        (config("a: lr=1", axis=("lr=1,2",)), "over the number of labelled people alone"),
    ):
        with pytest.raises(ConfigError, match=said):
            worth(tmp_path / "real", asked, out=tmp_path / "out")
    shutil.copytree(tmp_path / "real", tmp_path / "fake")
    with pytest.raises(ConfigError, match="Each arm has its own generated crops"):
        describe(tmp_path / "real", config("a: lr=1"), generated=tmp_path / "fake", out=tmp_path / "out")
