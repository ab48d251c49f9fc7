import dataclasses

import pytest

from reidgen.config import AugmentConfig, ExtendConfig, ReidConfig, SweepConfig, UnsupervisedConfig
from reidgen.errors import ConfigError
from reidgen.sweep.plan import jobs, plan


def names(points):
    return [job.name for job in jobs(points)]


def test_a_grid_is_every_combination_with_every_seed():
    points = plan(SweepConfig(axis=("people=5,9", "lr=0.1,0.2"), seeds=2, seed=7), generated=True)
    assert [(p.values["people"], p.values["lr"], p.job.seed) for p in points] == [
        (people, lr, seed) for people in (5, 9) for lr in (0.1, 0.2) for seed in (7, 8)
    ]
    assert all(p.job.training.seed == p.job.seed and p.job.training.lr == p.values["lr"] for p in points)
    assert all(p.job.extend == ExtendConfig(people=p.values["people"]) for p in points)
    assert len(set(names(points))) == 8


def test_points_without_generated_crops_are_one_run():
    """0 people, 0 crops and "without" add nothing, whatever the options about generated crops say."""
    axes = ("people=0,9", "crops=0,5", "generated=without,with", "generated_weight=0.5,1", "lr=0.1,0.2")
    points = plan(SweepConfig(axis=axes, seeds=1), generated=True)
    added = [p for p in points if p.job.extend is not None]
    assert {(p.values["people"], p.values["crops_per_person"], p.values["generated"]) for p in added} == {
        (9, 5, "with")
    }
    assert len(points) == 32
    assert sorted(names(points)) == [
        "baseline_lr-0.1/seed-0",
        "baseline_lr-0.2/seed-0",
        *sorted(f"people-9_crops_per_person-5_generated_weight-{w}_lr-{lr}/seed-0" for w in ("0.5", "1")
                for lr in ("0.1", "0.2")),
    ]  # fmt: skip
    assert {p.job.training.generated_weight for p in points if p.job.extend is None} == {1.0}


def test_label_policies_are_an_axis_though_one_of_them_needs_features():
    reid = ReidConfig(generated_features="runs/reid-real")
    config = SweepConfig(axis=("people=0,9", "generated_label=lsro,slsr"), seeds=1, reid=reid)
    found = {(p.job.training.generated_label, p.job.training.generated_features) for p in plan(config, generated=True)}
    assert found == {("table", None), ("lsro", None), ("slsr", "runs/reid-real")}
    with pytest.raises(ConfigError, match="which no point has"):
        plan(SweepConfig(axis=("generated_label=lsro,lsr",), seeds=1, reid=reid), generated=True)
    with pytest.raises(ConfigError, match="needs generated_features"):
        plan(SweepConfig(axis=("generated_label=lsro,slsr",), seeds=1), generated=True)


def test_steps_are_the_same_for_all_or_each_tables_epochs():
    def steps_of(reid):
        return reid.epochs * 100

    config = SweepConfig(axis=("people=0,9",), seeds=1, reid=ReidConfig(epochs=6))
    assert [p.job.training.steps for p in plan(config, generated=True, steps_of=steps_of)] == [600, 600]
    config = SweepConfig(axis=("people=0,9",), seeds=1, length="epochs")
    assert [p.job.training.steps for p in plan(config, generated=True, steps_of=steps_of)] == [None, None]
    config = SweepConfig(axis=("steps=10,none",), seeds=1, reid=ReidConfig(epochs=6))
    assert [p.job.training.steps for p in plan(config, generated=False, steps_of=steps_of)] == [10, 600]
    config = SweepConfig(axis=("people=0,9",), seeds=1, reid=ReidConfig(steps=33))
    assert {p.job.training.steps for p in plan(config, generated=True, steps_of=steps_of)} == {33}


def test_a_name_that_extend_has_too():
    points = plan(SweepConfig(axis=("reid.crops_per_person=2,8",), seeds=1), generated=False)
    assert [p.job.training.crops_per_person for p in points] == [2, 8]
    assert names(points)[0] == "baseline_reid.crops_per_person-2/seed-0"


def test_nested_options():
    config = SweepConfig(axis=("augment.pad=0,4",), seeds=1, reid=ReidConfig(augment=AugmentConfig(flip=0.25)))
    assert [p.job.training.augment for p in plan(config, generated=False)] == [
        AugmentConfig(pad=0, flip=0.25), AugmentConfig(pad=4, flip=0.25),
    ]  # fmt: skip


def test_folders_are_names_that_differ():
    config = SweepConfig(axis=("weights=a/b.safetensors,a-b.safetensors", "real=all,1/2"), seeds=1)
    found = names(plan(config, generated=False))
    assert len(set(found)) == 4
    assert all(name.count("/") == 1 for name in found)
    assert found[3] == "baseline_weights-a-b.safetensors_real-1of2/seed-0"


def test_what_needs_generated_crops_says_so():
    for config in (
        SweepConfig(preset="people"),
        SweepConfig(axis=("generated=without,with",)),
        SweepConfig(axis=("lr=1",), extend=ExtendConfig(people=3)),
    ):
        with pytest.raises(ConfigError, match="needs generated crops"):
            plan(config, generated=False)


def test_a_sweep_needs_an_axis():
    with pytest.raises(ConfigError, match="has no axis"):
        plan(SweepConfig(), generated=True)


def test_a_combination_that_is_not_allowed_is_told_before_anything_runs():
    with pytest.raises(ConfigError, match="stride"):
        plan(SweepConfig(axis=("backbone=resnet50,resnet18",), reid=ReidConfig(stride_in="1x1")), generated=False)


def test_an_axis_of_recipes_gives_each_its_own_values():
    """What the sweep's trainings have of their own stays under each recipe."""
    config = SweepConfig(axis=("recipe=ide,bot", "augment.erase=0.1,0.2"), seeds=1, reid=ReidConfig(size=(64, 32)))
    trainings = [p.job.training for p in plan(config, generated=False)]
    expected = [
        ReidConfig(recipe=recipe, size=(64, 32), augment=AugmentConfig(erase=erase))
        for recipe in ("ide", "bot")
        for erase in (0.1, 0.2)
    ]
    assert trainings == expected


def test_trainings_without_labels_are_a_grid_of_their_own_options():
    base = UnsupervisedConfig(backbone="resnet18", epochs=4)
    axes = ("recipe=pplr,cluster-contrast", "eps=0.5,0.6")
    config = SweepConfig(trains="unsupervised", axis=axes, seeds=1, unsupervised=base)
    points = plan(config, generated=False, steps_of=lambda _: pytest.fail("its length is its own"))
    assert [p.job.training for p in points] == [
        UnsupervisedConfig(recipe=recipe, backbone="resnet18", epochs=4, eps=eps)
        for recipe in ("pplr", "cluster-contrast")
        for eps in (0.5, 0.6)
    ]
    assert [p.job.steps for p in points] == [4 * p.job.training.epoch_steps for p in points]


def test_options_of_the_other_kind_of_training_are_told():
    for changes, said in (
        ({"trains": "unsupervised", "reid": ReidConfig(batch=64)}, "Options of reid"),
        ({"unsupervised": UnsupervisedConfig(epochs=4)}, "Options of unsupervised"),
        ({"trains": "unsupervised", "axis": ("dropout=0.1,0.2",)}, "dropout has to name"),
    ):
        with pytest.raises(ConfigError, match=said):
            SweepConfig(**{"axis": ("batch=32,64",), **changes})
    config = SweepConfig(trains="unsupervised", axis=("batch=32,64",))
    with pytest.raises(ConfigError, match="No training of the sweep takes generated crops"):
        plan(config, generated=True)
    with pytest.raises(ConfigError, match="A way is of trainings without labels"):
        SweepConfig(preset="ways")
    with pytest.raises(ConfigError, match="axis way has another value"):
        SweepConfig(trains="unsupervised", axis=("way=simple-3",))
    with pytest.raises(ConfigError, match=r"people needs generated crops[\s\S]*got: trains='unsupervised'"):
        plan(SweepConfig(trains="unsupervised", axis=("people=0,3", "way=simple-1")), generated=True)


@pytest.mark.parametrize("length", ["steps", "epochs"])
def test_the_rows_of_the_third_systems_table(length):
    """Baselines, four ways, and at lengths of epochs the source's 50 and 100."""
    base = UnsupervisedConfig(backbone="resnet18")
    config = SweepConfig(preset="ways", trains="unsupervised", seeds=1, unsupervised=base, length=length)
    points = {point.values["way"]: point.job for point in plan(config, generated=True)}
    assert list(points) == [
        *("baseline", "baseline-whole-batch", "simple-1", "simple-2", "simple-4", "inject-1", "inject-2", "inject-4"),
        *("sequential-135-270-90-180", "sequential-135-90-270-180", "fixed", "fixed-sequential", "learned-sequential"),
    ]
    assert points["baseline"].training == base
    assert points["baseline-whole-batch"].training == dataclasses.replace(base, norm_batch=None)
    assert points["simple-2"].training == dataclasses.replace(base, views="simple", view_angles=(135, 270))
    assert points["inject-1"].training == dataclasses.replace(base, views="inject", view_angles=(135,))
    long = 100 if length == "epochs" else 50
    longer = {name for name in points if "sequential" in name or "fixed" in name}
    assert {name for name, job in points.items() if job.training.epochs != 50} == (longer if long == 100 else set())
    learned = {"mesh": "learned", "views": "sequential", "view_angles": (135, 270, 90, 180), "epochs": long}
    assert points["learned-sequential"].training == dataclasses.replace(base, **learned)
    assert points["learned-sequential"].steps == long * base.epoch_steps
    without = {name for name, job in points.items() if not job.takes_generated}
    assert without == {"baseline", "baseline-whole-batch", "fixed"}
