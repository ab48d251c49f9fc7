import re

import polars as pl
import pytest

from reidgen.data.table import ReidTable
from reidgen.filters import SSIMFilter
from reidgen.filters.apply import apply_filters
from reidgen.report.evidence import Evidence
from reidgen.report.folders import Run
from reidgen.report.page import write_report
from tests.report.made import evaluation_run, generated_run, people_run, variants_run


@pytest.fixture
def people(tmp_path):
    return ReidTable.read(people_run(tmp_path / "people"))


def page_of(tmp_path, people, *runs, name="page", **config):
    baseline = [evaluation_run(tmp_path / f"e {name}", people)]
    return write_report(baseline=baseline, runs=runs, out=tmp_path / name, **config).read_text()


def section(page):
    return page.split("<h2>Real people, re-generated</h2>")[1].split("</section>")[0]


def captions(text):
    return re.findall(r"<figcaption>([^<]*)</figcaption>", text)


def cells(text):
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)][1:]


def test_of_crops_that_another_program_made_nobody_knows_whom_it_has_seen(tmp_path):
    folder = generated_run(tmp_path / "made")
    assert Evidence([], [], [Run.read(folder)]).learned_from == {"rendered"}
    table = ReidTable.read(folder)
    ReidTable(table.rows.with_columns(generator=pl.lit("unknown"))).write_metadata(folder)
    assert Evidence([], [], [Run.read(folder)]).learned_from == {"rendered", "unknown"}


def test_each_row_is_original_inversion_variants(tmp_path, people):
    made = variants_run(tmp_path / "variants", people, parent_origin="rendered")
    text = section(page_of(tmp_path, people, tmp_path / "people", made))
    assert captions(text) == ["original", "inversion", "coarse", "fine, not the label"] * 2
    assert text.count("<img") == 8 and "veil" not in text
    assert [re.findall(r"crop of person (\d+)", one)[0] for one in text.split('class="row"')[1:]] == ["1", "3"]
    assert "nobody has judged" in text
    assert cells(text) == [
        ["inversion", "2", "keeps it", "not judged", "0.0"],
        ["coarse", "2", "keeps it", "not judged", "0.0"],
        ["fine", "2", "does not", "not judged", "0.0"],
    ]


def test_what_filters_reject_is_marked_and_counted_by_mix(tmp_path, people):
    made = ReidTable.read(variants_run(tmp_path / "variants", people, parent_origin="rendered"))
    kept = apply_filters(made, [SSIMFilter(-1)], people.train, tmp_path / "filtered")
    verdicts = [None, "identity", "ssim", None, None, "ssim,identity:alone"]
    columns = [pl.Series("rejected_by", verdicts), pl.lit(0.1).alias("score_identity")]
    ReidTable(kept.rows.with_columns(*columns), "filtered").write_metadata(tmp_path / "filtered")
    text = section(page_of(tmp_path, people, tmp_path / "people", tmp_path / "variants", tmp_path / "filtered"))
    assert captions(text) == [
        *("original", "inversion", "coarse, rejected", "fine, rejected"),
        *("original", "inversion", "coarse", "fine, rejected"),
    ]
    assert "was judged by a re-ID network" in text
    assert [row[2:] for row in cells(text)] == [
        ["keeps it", "0.0", "0.0"],
        ["keeps it", "50.0", "50.0"],
        ["does not", "50.0", "100.0"],
    ]


def test_real_people_are_not_shown_unless_that_is_asked_for(tmp_path):
    from reidgen.config import ReportConfig

    real = ReidTable.read(people_run(tmp_path / "people", origin="real"))
    made = variants_run(tmp_path / "variants", real, parent_origin="real")
    text = section(page_of(tmp_path, real, tmp_path / "people", made))
    assert "<img" not in text and text.count("veil") == 8
    assert "real people are not shown" in text.lower()
    shown = section(
        page_of(tmp_path, real, tmp_path / "people", made, name="all", config=ReportConfig(show_real="allow"))
    )
    assert shown.count("<img") == 8 and "not shown" not in shown


def test_without_the_table_of_the_people_the_originals_are_missing(tmp_path, people):
    made = variants_run(tmp_path / "variants", people, parent_origin="rendered")
    text = section(page_of(tmp_path, people, made))
    assert captions(text) == ["inversion", "coarse", "fine, not the label"] * 2
    assert "First in each row, what the generator makes" in text


def test_new_people_have_their_own_words(tmp_path, people):
    page = page_of(tmp_path, people, generated_run(tmp_path / "generated"))
    assert "One generated person, many crops" in page and "Real people, re-generated" not in page
