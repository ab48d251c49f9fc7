import json
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from PIL import Image

from reidgen.cli import main
from reidgen.config import ReidConfig, SweepConfig
from reidgen.errors import RunError
from reidgen.report.published import published
from reidgen.report.sweep_page import headline, write_sweep_report
from reidgen.report.sweep_points import SweepView, warnings
from reidgen.report.sweep_tables import aggregated, latex, result_head, result_rows, test_rows
from reidgen.sweep.result import SweepResult
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


def _jobs():
    from reidgen.sweep.plan import jobs, plan

    return jobs(plan(PEOPLE, generated=True, steps_of=lambda reid: 40))


def test_tables_stand_beside_the_sources(people):
    view = view_of(people)
    rows = [dict(zip(result_head(view), row, strict=True)) for row in result_rows(view, view.groups[0])]
    assert [row["generated people"] for row in rows] == ["0", "10", "20", "40"]
    assert [row["thesis: mAP"] for row in rows] == ["74.26", "74.38", "74.51", "74.88"]
    assert rows[3]["mAP, %"] == "36.10 ± 0.95"


def test_latex_is_well_formed():
    text = latex([["a_b", "50 %"], ["1 ± 2", "−3 & 4"]], caption="x < y")
    assert r"a\_b & 50 \% \\" in text and r"1 $\pm$ 2 & $-$3 \& 4 \\" in text and "$<$" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


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
    assert r"\toprule" in (written / "sweep.tex").read_text()
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
