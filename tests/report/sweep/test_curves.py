import dataclasses
import io
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from reidgen.config import ExtendConfig, ReidConfig, SweepConfig
from reidgen.report.sweep.curves import drawings, on_common_steps, training_drawings
from reidgen.report.sweep.points import SweepView
from reidgen.report.sweep.published import gains, published
from reidgen.sweep.result import SweepResult
from tests.report.made_sweep import PEOPLE, sweep_run


def view_of(root, config, **more):
    return SweepView.of(SweepResult.read(sweep_run(root, config, **more)))


def drawn(drawing):
    axes = Figure().add_subplot()
    drawing.draw(axes)
    return axes


def thesis_in(axes):
    return next((line.get_xydata() for line in axes.lines if str(line.get_label()).startswith("thesis")), None)


def gain_of(view):
    return next(one for one in drawings(view) if one.name.startswith("gain"))


def test_legends_of_a_slow_machine_are_no_warning(tmp_path, monkeypatch):
    """matplotlib warns of a place for the legend that it was left to find, and that took more than a second."""
    monkeypatch.setattr("matplotlib.legend.time", SimpleNamespace(perf_counter=itertools.count(0, 2).__next__))
    figures = [drawn(one).figure for one in drawings(view_of(tmp_path, PEOPLE))]
    assert sum(figure.axes[0].get_legend() is not None for figure in figures) == 2
    for figure in figures:
        figure.savefig(io.BytesIO())


def test_the_sources_points_within_our_axis(tmp_path):
    """Their gains at 0, 10, 20, 30 and 40 people, by trapezoid as ours then are; none of the 12 beyond 40."""
    view = view_of(tmp_path, PEOPLE)
    axes = drawn(gain_of(view))
    theirs = thesis_in(axes)
    assert theirs[:, 0].tolist() == [0, 10, 20, 30, 40]
    assert theirs[-1, 1] == pytest.approx(100 * (0.748799 - 0.742632))
    assert axes.get_ylim()[1] < 7 and "by trapezoid" in gain_of(view).title
    figures = {place.value: place.spread("mAP_trapezoid").mean for place in view.groups[0].places}
    ours = axes.containers[0].lines[0].get_xydata()
    assert ours[-1].tolist() == [40, pytest.approx(100 * (figures[40] - figures[0]))]


def test_the_sources_points_stand_where_our_values_stand(tmp_path):
    """With a word on the axis the places are 0, 1, 2 ...: 10 people at 1, 20 at 2, and no 40 at all."""
    view = view_of(tmp_path, SweepConfig(axis=("people=0,10,20,all",)))
    assert thesis_in(drawn(gain_of(view)))[:, 0].tolist() == [0, 1, 2]
    assert gains(published("people")[1], "mAP", reference=5, places={0: 0.0, 320: 320.0}) == ([], [])


@pytest.mark.parametrize(
    "config",
    [
        SweepConfig(axis=("crops=0,5,10",), extend=ExtendConfig(people=10)),
        SweepConfig(axis=("crops=0,5,10",), extend=ExtendConfig(people=10, label="same")),
        SweepConfig(axis=("people=0,10", "label=same")),
        SweepConfig(axis=("people=0,10", "real=1/2")),
        SweepConfig(axis=("people=0,10",), reid=ReidConfig(generated_label="lsro")),
    ],
)
def test_another_experiment_has_no_curve_of_the_thesis(tmp_path, config):
    view = view_of(tmp_path, dataclasses.replace(config, seeds=2))
    axes = drawn(gain_of(view))
    assert thesis_in(axes) is None and "trapezoid" not in gain_of(view).title
    assert view.cited is None


def test_the_sources_are_compared_with_what_ours_is_compared_with(tmp_path):
    view = view_of(tmp_path, SweepConfig(axis=("people=10,20",), seeds=2))
    theirs = thesis_in(drawn(gain_of(view)))
    assert theirs.tolist() == [[10, 0], [20, pytest.approx(100 * (0.745116 - 0.743795))]]


def test_the_sources_crops_of_each_person(tmp_path):
    view = view_of(tmp_path, SweepConfig(axis=("crops=0,5,10",), extend=ExtendConfig(label="same"), seeds=2))
    assert "table 5.11" in view.cited[0]
    assert thesis_in(drawn(gain_of(view)))[:, 0].tolist() == [0, 5, 10]


def test_a_single_run_has_no_error_bar(tmp_path):
    view = view_of(tmp_path, SweepConfig(axis=("people=0,10",), seeds=2), failed=("people-10/seed-1",))
    for drawing in drawings(view):
        if drawing.name.startswith("ranks"):
            continue  # three kinds of bars
        (bars,) = drawn(drawing).containers
        (sticks,) = bars.lines[2]
        lengths = [np.ptp(path.vertices[:, 1]) if len(path.vertices) else np.nan for path in sticks.get_paths()]
        assert np.isnan(lengths[-1]), drawing.name
        assert drawing.name.startswith("gain") or lengths[0] > 0


def test_records_at_different_steps_are_joined_by_straight_lines():
    """The second curve goes through 20 at step 2, half way from 10 to 30; step 9 lies outside of the first."""
    steps, values = on_common_steps([{1: 1.0, 2: 2.0, 4: 4.0}, {1: 10.0, 3: 30.0, 9: 90.0}])
    assert steps == [1, 2, 3, 4]
    assert values.tolist() == [[1, 2, 3, 4], [10, 20, 30, 40]]
    assert on_common_steps([{1: 1.0}, {2: 1.0}])[0] == [] and on_common_steps([])[0] == []


def move(view, seed, steps):
    """Give the trainings of a seed other steps in their logs."""
    for place in view.groups[0].places:
        for path in place.trainings():
            if path.parent.name == f"seed-{seed}":
                records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
                lines = [json.dumps({**record, "step": step}) for record, step in zip(records, steps, strict=True)]
                (path / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))


def test_no_training_is_lost_where_seeds_log_at_other_steps(tmp_path):
    view = view_of(tmp_path, SweepConfig(axis=("people=0,10",), seeds=2))
    move(view, 1, (18, 36))
    losses = [drawn(one) for one in training_drawings(view) if one.name.endswith("loss")]
    assert [axes.lines[0].get_xdata().tolist() for axes in losses] == [[20, 36], [20, 36]]
    expected = ((2 - 2 / 18) + 2) / 2  # of seed 1, 2 of the 18 steps from loss 2 to 1; of seed 0, 2
    assert losses[0].lines[0].get_ydata()[0] == pytest.approx(expected)
    move(view, 1, (50, 60))
    losses = [drawn(one) for one in training_drawings(view) if one.name.endswith("loss")]
    assert [[line.get_xdata().tolist() for line in axes.lines][:2] for axes in losses] == [[[20, 40], [50, 60]]] * 2


@pytest.mark.parametrize(
    ("axes", "shown"),
    [
        (("people=0,10,100,200,280,320",), ["baseline", "100 ", "200 ", "320 "]),
        (("people=0,10,20,30,40,50,60",), ["baseline", "20 ", "40 ", "60 "]),
        (("crops=0,5,35,70,100,135", "label=same"), ["baseline", "35 ", "100 "]),
    ],
)
def test_trainings_are_shown_where_the_sources_show_them(tmp_path, axes, shown):
    view = view_of(tmp_path, SweepConfig(axis=axes, seeds=1))
    titles = [one.title for one in training_drawings(view) if one.name.endswith("loss")]
    assert len(titles) == len(shown)
    assert all(title.startswith(begin) for title, begin in zip(titles, shown, strict=True)), titles


def test_bars_of_the_ranks_stand_where_the_sources_have_them(tmp_path):
    """Figure 5.21: 0, 40, ..., 320 people; without all of these, evenly spread places."""
    for axis, places in (("people=0,10,...,320", list(range(0, 321, 40))), ("people=0,10,20", [0, 10, 20])):
        view = view_of(tmp_path / str(len(places)), SweepConfig(axis=(axis,)))
        bars = next(one for one in drawings(view) if one.name == "ranks-over-people")
        axes = drawn(bars)
        assert [tick.get_text() for tick in axes.get_xticklabels()] == [str(place) for place in places]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["rank-1", "rank-5", "rank-10"]
        at = {place.value: place for place in view.groups[0].places}
        means = [100 * at[place].spread("rank1").mean for place in places]
        assert [patch.get_height() for patch in axes.patches[: len(places)]] == pytest.approx(means)
