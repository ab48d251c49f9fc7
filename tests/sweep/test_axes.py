import pytest

from reidgen.config import ReidConfig, SweepConfig
from reidgen.config.sweep.axes import Axis, fields_of, read_axis, share_in_words, shown
from reidgen.errors import ConfigError


def test_the_sources_axes():
    people, crops = SweepConfig(preset="people").axes[0], SweepConfig(preset="crops").axes[0]
    assert people == Axis("people", "extend", tuple(range(0, 321, 10)))
    assert crops == Axis("crops_per_person", "extend", tuple(range(0, 136, 5)))
    assert SweepConfig(preset="share").axes == (
        Axis("real", "sweep", (1.0, 0.5, 0.25, 0.125)),
        Axis("generated", "sweep", ("without", "with")),
    )


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("people=0,20,all", Axis("people", "extend", (0, 20, None))),
        ("crops-per-person=5", Axis("crops_per_person", "extend", (5,))),
        ("size=64x32,128x64", Axis("size", "training", ((64, 32), (128, 64)))),
        ("lr=0.05,.1", Axis("lr", "training", (0.05, 0.1))),
        ("last_stride=1,2", Axis("last_stride", "training", (1, 2))),
        ("reid.crops_per_person=2,4", Axis("reid.crops_per_person", "training", (2, 4))),
        ("losses=a+b:0.5,a", Axis("losses", "training", (("a", "b:0.5"), ("a",)))),
        ("augment.pad=0,4", Axis("augment.pad", "training", (0, 4))),
        ("generated_ratio=none,3x1", Axis("generated_ratio", "training", (None, (3, 1)))),
        ("steps=1,2,...,5", Axis("steps", "training", (1, 2, 3, 4, 5))),
        ("real=all,0.3", Axis("real", "sweep", (1.0, 0.3))),
    ],
)
def test_values_have_the_kind_of_their_option(text, axis):
    assert read_axis(text) == axis


def test_every_option_but_a_few_is_an_axis():
    known = set(fields_of(ReidConfig))
    assert {"lr", "batch", "augment.flip", "dropout", "precision"} <= known
    assert not {"seed", "device", "checkpoint_sec", "augment"} & known


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("peple=1", "try: axis='people=...'"),
        ("seed=1,2", "seeds='N' repeats"),
        ("people=many", "allowed: a whole number or all"),
        ("people", "NAME=V1,V2"),
        ("people=", "NAME=V1,V2"),
        ("people=0,0", "has a value twice"),
        ("people=0,10,...,35", "does not say how to go on"),
        ("people=0,...,35", "does not say how to go on"),
        ("real=-1/4", "takes shares"),
        ("real=5/4", "takes shares"),
        ("generated=maybe", "without, with"),
        ("size=64", "as 64x32"),
        ("label=old", "new, same"),
    ],
)
def test_what_is_no_axis_is_told(text, said):
    with pytest.raises(ConfigError, match=r"axis|does not vary") as told:
        read_axis(text)
    assert said in str(told.value)


def test_an_axis_by_hand_takes_the_place_of_the_presets():
    assert [axis.values for axis in SweepConfig(preset="crops", axis=("crops=0,7",)).axes] == [(0, 7), ("same",)]


def test_seeds_and_lengths_are_set_once():
    with pytest.raises(ConfigError, match="twice"):
        SweepConfig(axis=("lr=1", "lr=2"))
    with pytest.raises(ConfigError, match="Steps and epochs"):
        SweepConfig(axis=("steps=1", "epochs=2"))
    with pytest.raises(ConfigError, match=r"reid\.seed is set by the sweep"):
        SweepConfig(axis=("lr=1",), reid=ReidConfig(seed=3))
    assert list(SweepConfig(seed=5, seeds=2).all_seeds) == [5, 6]


def test_values_are_shown_as_they_are_typed():
    assert [shown(value) for value in (None, 3, 0.05, (64, 32), ("a", "b"), 0.1234567891)] == [
        "all", "3", "0.05", "64x32", "a+b", "0.1234567891",
    ]  # fmt: skip
    assert [share_in_words(share) for share in (1.0, 0.5, 0.125, 1 / 3)] == ["all", "1/2", "1/8", "1/3"]
