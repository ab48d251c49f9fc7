import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from reidgen.cli import main
from reidgen.config import ReidConfig, ReportConfig, SweepConfig
from reidgen.errors import RunError
from reidgen.report.sweep.curves import drawings
from reidgen.report.sweep.points import SweepView
from reidgen.report.sweep.published import published
from reidgen.report.sweep.rows import (
    aggregated,
    beside_published,
    how_sure,
    latex,
    result_head,
    result_rows,
    test_rows,
)
from reidgen.report.sweep.sweep_page import write_sweep_report
from reidgen.report.sweep.words import headline, small_print, warnings
from reidgen.sweep.plan import jobs, plan
from reidgen.sweep.result import SweepResult
from tests.report import made_sweep
from tests.report.made import generated_run
from tests.report.made_sweep import PEOPLE, figure_of, sweep_run

test_rows.__test__ = False


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    root = tmp_path_factory.mktemp("people")
    return sweep_run(root, PEOPLE)


def view_of(folder):
    return SweepView.of(SweepResult.read(folder))


def test_the_sources_rows_are_the_tables():
    where, rows = published("people")
    assert "table 5.10" in where and list(rows)[:3] == [0, 10, 20] and len(rows) == 17
    assert (rows[280]["rank1"], rows[280]["mAP"], rows[280]["generated_images"]) == (0.903504, 0.767955, 11244)
    _, crops = published("crops_per_person")
    assert list(crops) == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 70, 85, 105, 135]
    assert crops[135]["mAP"] == 0.601084
    assert published("lr") is None


def test_means_spreads_and_tests(people):
    """mAP is a level a seed plus a gain plus a wobble; the differences over seeds are worked out here again."""
    view = view_of(people)
    (group,) = view.groups
    assert [place.value for place in group.places] == [0, 10, 20, 40] and group.reference.value == 0
    jobs = {(0 if job.extend is None else job.extend.people, job.seed): figure_of(job) for job in _jobs()}
    row = aggregated(view).row(3, named=True)
    mine = np.array([jobs[40, seed] for seed in range(3)])
    gaps = mine - [jobs[0, seed] for seed in range(3)]
    assert row["mAP_mean"] == pytest.approx(mine.mean()) and row["mAP_sd"] == pytest.approx(mine.std(ddof=1))
    assert row["mAP_difference"] == pytest.approx(gaps.mean()) and row["p_sign_flip"] == 0.25
    told = test_rows(view, "mAP")
    assert [one[0] for one in told] == ["10 generated people", "20 generated people", "40 generated people"]
    assert [one[-1] for one in told] == ["may be chance", "better", "better"]


def _jobs(seeds=3):
    return jobs(plan(dataclasses.replace(PEOPLE, seeds=seeds), generated=True, steps_of=lambda reid: 40))


def test_tables_stand_beside_the_sources(people):
    view = view_of(people)
    rows = [dict(zip(result_head(view, view.groups[0]), row, strict=True)) for row in result_rows(view, view.groups[0])]
    assert [row["generated people"] for row in rows] == ["0", "10", "20", "40"]
    assert [row["thesis: mAP, trapezoid, %"] for row in rows] == ["74.26", "74.38", "74.51", "74.88"]
    assert rows[3]["mAP, %"] == "36.10 ± 0.95" and rows[3]["mAP, trapezoid, %"] == "34.10 ± 0.95"


def test_latex_is_well_formed():
    text = latex([["a_b", "50 %"], ["1 ± 2", "−3 & 4"]], caption="x < y")
    assert r"a\_b & 50 \% \\" in text and r"1 $\pm$ 2 & $-$3 \& 4 \\" in text and "$<$" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_a_lost_seed_is_left_out_of_its_comparisons(tmp_path):
    """Seeds lie 1 point apart: unpaired, the place without seed 3 would seem to lose. Against scipy."""
    folder = sweep_run(
        tmp_path,
        SweepConfig(axis=("people=0,10,20,40",), seeds=4),
        failed=("people-10/seed-3", "people-20/seed-0", "people-20/seed-2", "people-20/seed-3", "baseline/seed-1"),
    )
    view = view_of(folder)
    jobs = {(0 if job.extend is None else job.extend.people, job.seed): figure_of(job) for job in _jobs(seeds=4)}
    before, after = ([jobs[people, seed] for seed in (0, 2)] for people in (0, 10))
    told, corrected = next((told, p) for _, place, told, p in view.compared_all("mAP") if place.value == 10)
    expected = stats.ttest_rel(after, before)
    assert told.told.mean == pytest.approx(np.mean(after) - np.mean(before)) and told.told.pairs == 2
    assert told.t == pytest.approx(expected.pvalue) and told.told.low == pytest.approx(
        expected.confidence_interval(0.95).low
    )
    tested = [one.t for _, _, one, _ in view.compared_all("mAP")]
    assert len(tested) == 2 and corrected == pytest.approx(told.t * (2 if told.t == min(tested) else 1))
    rows = {row[0]: row[1:] for row in test_rows(view, "mAP")}
    assert rows["20 generated people"] == [*"-----", "0", "no seed has finished both"]
    assert rows["40 generated people"][-2] == "3"
    assert "over the 3 seeds that both have" in headline(view) and "(of 2)" not in headline(view)
    assert "Where a side lacks a seed" in how_sure(view) and "With 2 comparisons" in how_sure(view)


def test_runs_are_not_compared_with_themselves(tmp_path):
    """With 0 crops of each, 10 people are the baseline's runs: two comparisons, not three."""
    view = view_of(sweep_run(tmp_path, SweepConfig(axis=("people=0,10", "crops=0,5,9"))))
    assert [(group.label, place.value) for group, place, *_ in view.compared_all("mAP")] == [
        ("5 generated crops per person", 10),
        ("9 generated crops per person", 10),
    ]
    assert headline(view).startswith("10 generated people (5 generated crops per person): mAP went from 31.10")


def test_each_arm_is_told_and_words_are_not_joined(tmp_path):
    """Ten points up and five down, a wobble beside; no line runs from one arm to the next."""
    gains = {"erased": 0.10, "padded": -0.05}

    def figure(job):
        gain = next((gain for name, gain in gains.items() if name in job.name), 0.0)
        return 0.30 + gain + 0.01 * job.seed + 0.001 * ((job.seed * 7 + round(100 * gain)) % 3)

    arms = ("erased: augment.erase=0.5", "padded: augment.pad=4")
    view = view_of(sweep_run(tmp_path, SweepConfig(arm=arms), figure=figure))
    told = headline(view)
    assert told.startswith("“erased”: mAP went from 31.10 ") and " “padded”: mAP went from 31.10 " in told
    assert told.endswith("1 is better and 1 is worse beyond chance (paired t, corrected by Holm, p < 0.05).")
    axes = Figure().add_subplot()
    drawings(view)[0].draw(axes)
    means_and_caps = [line for line in axes.lines if list(line.get_xdata()) == [0, 1, 2]]
    assert {line.get_linestyle() for line in means_and_caps} == {"None"}


def test_a_single_pair_is_no_test(tmp_path):
    view = view_of(sweep_run(tmp_path, SweepConfig(axis=("people=0,10,20",), seeds=1)))
    assert [row[2:] for row in test_rows(view, "mAP")] == [[*"----", "1", "a single pair"]] * 2
    assert "One seed cannot tell this from chance." in headline(view) and "so none was tested" in headline(view)
    assert "beyond chance" not in headline(view) and "none is tested" in how_sure(view)
    assert small_print(view).startswith("Single runs, seed 0;") and "±" not in small_print(view)


def test_one_is_and_two_are(tmp_path):
    def figure(job):
        return figure_of(job, {0: 0.0, 10: 0.02, 20: 0.0})

    view = view_of(sweep_run(tmp_path, SweepConfig(axis=("people=0,10,20",)), figure=figure))
    assert "1 is better and 0 are worse" in headline(view)


def test_what_recipes_and_lengths_are_called(tmp_path, monkeypatch):
    """Recipes differ in their epochs, so in their steps: not equal, and length "steps" would not make them so."""

    def own_steps(config, **more):
        return plan(config, **{**more, "steps_of": lambda reid: reid.epochs})

    monkeypatch.setattr(made_sweep, "plan", own_steps)
    view = view_of(sweep_run(tmp_path, SweepConfig(axis=("recipe=ide,bot",), seeds=3)))
    (told,) = [text for text in warnings(view) if text.startswith("Confounded")]
    assert "Length" not in told and "reid.steps" in told and "more crops" not in told
    assert "equal" not in small_print(view) and "trainings of 60 to 120 steps" in small_print(view)
    both = view_of(sweep_run(tmp_path / "2", SweepConfig(axis=("recipe=ide,bot", "people=0,10"), seeds=3)))
    assert "equal optimisation steps in each comparison" in small_print(both)
    assert not any(text.startswith("Confounded") for text in warnings(both))
    epochs = view_of(sweep_run(tmp_path / "3", SweepConfig(axis=("epochs=5,9",), seeds=3)))
    assert "equal" not in small_print(epochs) and list(warnings(epochs)) == []


def test_columns_of_the_thesis_stand_in_its_own_experiment_alone(tmp_path):
    config = SweepConfig(axis=("people=0,10", "generated_label=new,lsro", "real=all,1/2"), seeds=2)
    view = view_of(sweep_run(tmp_path, config))
    cited = {group.label: any("thesis" in title for title in result_head(view, group)) for group in view.groups}
    assert cited == {
        "generated_label new, all real people": True,
        "generated_label new, 1/2 of the real people": False,
        "generated_label lsro, all real people": False,
        "generated_label lsro, 1/2 of the real people": False,
    }
    assert beside_published(view).filter(pl.col("source") != "this sweep").height == 2


def test_no_two_columns_have_one_title(tmp_path):
    view = view_of(sweep_run(tmp_path, SweepConfig(preset="share", seeds=2)))
    head = result_head(view, view.groups[0])
    assert len(set(head)) == len(head)


VOID = {"img", "br", "meta", "hr", "col"}


class Balanced(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(people, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "page"
    write_sweep_report(sweep=people, runs=[people.parent / "people"], out=out)
    return out


def test_the_page_and_its_files(written, people):
    page = (written / "index.html").read_text()
    parser = Balanced()
    parser.feed(page)
    assert parser.open == [] and len(set(parser.ids)) == len(parser.ids)
    assert "http" not in re.sub(r'"http://www.w3.org[^"]*"', "", page) and "<script" not in page
    for needed in (
        "40 generated people",
        "+5.00 points",
        "thesis, table 5.10",
        "Ranked lists",
        "How the networks learned",
    ):
        assert needed in page, needed
    assert set(pl.read_csv(written / "sweep.csv").columns) >= {"people", "mAP_mean", "mAP_sd", "p_t_holm"}
    assert "| 40 | 36.10 ± 0.95 |" in (written / "sweep.md").read_text()
    tex = (written / "sweep.tex").read_text()
    assert r"\toprule" in tex and "over the 3 seeds that have finished" in tex and "its mAP is by trapezoid" in tex
    assert "320 & 14,371 & 89.67" in tex and r"\item Protocol: as market" in tex and r"\item Warning: " not in tex
    theirs = pl.read_csv(written / "sweep.csv").filter(pl.col("source") == "Alvarez-Gonzalez, thesis, table 5.10")
    assert theirs["people"].to_list() == [0, 10, 20, 40] and theirs["mAP_mean"].null_count() == 4
    assert theirs["mAP_trapezoid_mean"][3] == 0.748799 and theirs["rank1_mean"][3] == 0.890143
    report = json.loads((written / "report.json").read_text())
    assert report["compared"] == "people" and len(report["points"]) == 12 and len(report["places"]) == 4
    names = {path.name for path in (written / "figures").iterdir()}
    assert {f"{name}.{kind}" for name in ("mAP-over-people", "gain-over-people") for kind in ("png", "svg")} <= names
    assert sum(name.startswith("training-") for name in names) == 16  # four places, loss and error, two formats
    with Image.open(written / "figures" / "gain-over-people.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels == 255).all(axis=2).mean() > 0.5  # a drawing on white
    blue = (pixels == [0x3B, 0x73, 0xB5]).all(axis=2)
    assert blue.sum() > 100  # our curve is on it


@pytest.mark.slow
def test_a_sweep_that_is_not_finished_or_partly_failed(tmp_path):
    config = SweepConfig(axis=("people=0,10,20",), seeds=2)
    failed = ("people-10/seed-0", "people-20/seed-0", "people-20/seed-1")
    folder = sweep_run(tmp_path, config, failed=failed, unfinished=True)
    view = view_of(folder)
    assert [len(place.rows) for place in view.groups[0].places] == [2, 1]
    told = list(warnings(view))
    assert "3 of 6 points have no result (3 failed)" in told[0]
    assert any("with 1 seed:" in text for text in told)
    page = write_sweep_report(sweep=folder, out=tmp_path / "page").read_text()
    assert "not a number" in page
    tex = (tmp_path / "page" / "sweep.tex").read_text()
    assert "over the 1 to 2 seeds that have finished" in tex and r"\item Warning: 3 of 6 points have no result" in tex


def test_nothing_finished(tmp_path):
    config = SweepConfig(axis=("people=0",), seeds=1)
    folder = sweep_run(tmp_path, config, failed=("baseline/seed-0",))
    with pytest.raises(RunError, match="No run of"):
        view_of(folder)


def test_equal_epochs_are_called_confounded(tmp_path):
    config = SweepConfig(axis=("people=0,10",), length="epochs", seeds=3, reid=ReidConfig(epochs=1))
    told = list(warnings(view_of(sweep_run(tmp_path, config))))
    assert any(text.startswith("Confounded") for text in told)


def test_shares_with_and_without(tmp_path):
    view = view_of(sweep_run(tmp_path, SweepConfig(preset="share", seeds=3)))
    assert view.compared.name == "generated" and [group.label for group in view.groups] == [
        "all real people", "1/2 of the real people", "1/4 of the real people", "1/8 of the real people",
    ]  # fmt: skip
    assert headline(view).startswith("With generated crops (all real people): mAP went from")
    assert any("same at every share" in text for text in warnings(view))
    assert len(view.compared_all("mAP")) == 4


def cells(page, title):
    """Rows of the first table behind a title, as text."""
    body = page[page.index(title) :].partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]


@pytest.mark.slow
def test_values_of_axes_are_written_as_they_are_typed(tmp_path):
    folder = sweep_run(tmp_path, SweepConfig(axis=("real=1/2", "lr=0.05,0.1"), seeds=2))
    page = write_sweep_report(sweep=folder, out=tmp_path / "page").read_text()
    rows = cells(page, "Every run")
    assert [row[:2] for row in rows] == [["1/2", "0.05"]] * 2 + [["1/2", "0.1"]] * 2
    assert rows[0][5:8] == ["25.10", "35.10", "12.5"]  # mAP and rank-1 in percent, seconds as they are
    assert "In all runs: 1/2 of the real people." in page and '<p class="lead">lr 0.1: mAP went' in page
    assert "<h1>What does lr change?</h1>" in page and "<title>What does lr change?</title>" in page
    named = write_sweep_report(ReportConfig(title="Mine"), sweep=folder, out=tmp_path / "named").read_text()
    assert "<h1>Mine</h1>" in named


@pytest.mark.slow
def test_a_page_is_made_anew_when_the_sweep_has_more_runs(tmp_path):
    config = SweepConfig(axis=("people=0,10,20",), seeds=2)
    folder = sweep_run(tmp_path, config, failed=("people-20/seed-0", "people-20/seed-1"), unfinished=True)
    out = tmp_path / "page"
    assert "20 generated people: mAP" not in write_sweep_report(sweep=folder, out=out).read_text()
    (out / "figures" / "training-9-loss.png").write_bytes(b"of an earlier page")
    before = (out / "index.html").stat().st_mtime_ns
    write_sweep_report(sweep=folder, out=out)
    assert (out / "index.html").stat().st_mtime_ns == before  # nothing is new
    shutil.rmtree(folder / "runs")
    sweep_run(tmp_path, config)
    assert "20 generated people: mAP went" in write_sweep_report(sweep=folder, out=out).read_text()
    assert not (out / "figures" / "training-9-loss.png").exists()
    other = sweep_run(tmp_path / "other", SweepConfig(axis=("people=0,10",), length="epochs", seeds=2))
    with pytest.raises(RunError, match="holds another run"):
        write_sweep_report(sweep=other, out=out)
    varied = sweep_run(tmp_path / "varied", SweepConfig(axis=("lr=0.05,0.1",), seeds=2))
    with pytest.raises(RunError, match="holds another run"):  # the same tables and options, but another question
        write_sweep_report(sweep=varied, out=out)


@pytest.mark.slow
def test_an_axis_without_generated_crops(tmp_path):
    config = SweepConfig(axis=("lr=0.05,0.1",), seeds=3)
    folder = sweep_run(tmp_path, config)
    view = view_of(folder)
    assert view.reference_value == 0.05 and not view.about_generated
    assert [row[0] for row in test_rows(view, "mAP")] == ["lr 0.1"]
    page = write_sweep_report(sweep=folder, out=tmp_path / "page").read_text()
    assert "thesis, table" not in page.split("<footer>")[0].split("Is any difference")[0]


@pytest.mark.slow
def test_a_generator_that_saw_test_people_is_told(people, tmp_path):
    generated = generated_run(tmp_path / "generated", split="all")
    page = write_sweep_report(sweep=people, runs=[generated], out=tmp_path / "page").read_text()
    assert "it may have seen test people" in page


def test_the_command(people, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["report", "--sweep", str(people), "--baseline", "x", "--out", str(tmp_path / "page")])
    assert "of a sweep, or of a baseline" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["report", "--sweep", str(tmp_path), "--out", str(tmp_path / "page")])
    assert "holds no sweep" in capsys.readouterr().err
