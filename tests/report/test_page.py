import json
import re
from html.parser import HTMLParser

import pytest

from reidgen.config import DCGANConfig, EvaluateConfig, ReportConfig, StyleGANConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.errors import ConfigError, RunError
from reidgen.filters import DetectorFilter, SSIMFilter
from reidgen.filters.apply import apply_filters
from reidgen.report.answer import headline, small_print, warnings
from reidgen.report.evidence import Evidence
from reidgen.report.page import write_report
from reidgen.report.tables import result_rows
from tests.darknet_files import small_cfg, write_darknet
from tests.report.made import (
    evaluation_run,
    generated_run,
    generator_facts,
    generator_run,
    people_run,
    training_run,
    whole_story,
)

VOID = {"meta", "img", "br", "col", "hr"}


class Reader(HTMLParser):
    """Checks that tags are closed in order, and gathers text, addresses and section titles."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.addresses, self.titles, self.tags = [], [], [], [], set()

    def handle_starttag(self, name, attributes):
        self.tags.add(name)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "xlink:href", "action", "data")]
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.addresses += [value for key, value in attributes if key.endswith(("src", "href"))]

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)
        if "style" not in self.open:
            self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text())
    assert reader.open == []
    reader.all = re.sub(r"\s+", " ", " ".join(reader.text))
    return reader


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return whole_story(tmp_path_factory.mktemp("story"))


@pytest.fixture(scope="module")
def page(story, tmp_path_factory):
    return write_report(
        ReportConfig(title="A title & more", note="One.\n\nTwo.", limits="A toy."),
        **story,
        out=tmp_path_factory.mktemp("out") / "page",
    )


def test_the_page_needs_nothing_but_itself(page):
    found = read(page)
    assert found.addresses
    assert all(address.startswith(("data:", "#")) for address in found.addresses)
    assert not found.tags & {"script", "link", "iframe", "object", "form"}
    assert "url(" not in re.sub(r"url\(#", "", page.read_text())
    assert "@import" not in page.read_text()


def test_ids_are_unique(page):
    ids = re.findall(r'\bid="([^"]+)"', page.read_text())
    assert ids
    assert len(ids) == len(set(ids))


def test_every_part_is_there(page):
    found = read(page)
    assert found.titles == [
        "Baseline against extended",
        "What this run can and cannot show",
        "The people",
        "One generated person, many crops",
        "Ranked lists",
        "How the re-ID networks learned",
        "The generator",
        "What the filters rejected",
        "What it cost",
        "Protocol and provenance",
    ]
    for text in (
        "A title & more",
        "One.",
        "Two.",
        "A toy.",
        "Rank-1 error",
        "Overfitting heuristic",
        "90.35",
        "not comparable",
        "5.5, new people YOLOv4-tiny 3,419 16.7 16.72 20,451 5.5, new people SSIM 396 2.3 1.94 20,451",
        "total 3,815 18.6 18.65 20,451",
        "5.9, variants of real people YOLOv4-tiny 12,129 16.0 16.00 75,788",
        "SSIM 1,108 1.46 1.46 75,788 5.9, variants of real people total 13,237 17.46 17.47 75,788",
        "made: 3 queries (1 without a match) against 3 gallery crops; cosine distance",
        "origin rendered",
    ):
        assert text in found.all, text


def test_the_answer_and_the_table_say_the_same_as_the_json(page):
    found, said = read(page), json.loads((page.parent / "report.json").read_text())
    assert said["answer"] in found.all
    assert said["means"]["baseline"]["mAP"]["mean"] == pytest.approx(0.305)
    assert said["differences"]["mAP"] == {
        "mean": pytest.approx(0.1),
        "low": pytest.approx(0.1),
        "high": pytest.approx(0.1),
        "test": "paired",
        "pairs": 2,
        "verdict": "up",
    }
    assert "mAP, % 30.50 ± 0.71 40.50 ± 0.71 +10.00 +10.00 to +10.00" in found.all
    assert (
        "| mAP, % | 30.50 ± 0.71 | 40.50 ± 0.71 | +10.00 | +10.00 to +10.00 |" in (page.parent / "table.md").read_text()
    )
    assert said["warnings"] == []


def test_the_sheet_of_what_a_filter_rejects_is_shown_only_where_its_people_may_be(story, tmp_path):
    shown = read(write_report(ReportConfig(), **story, out=tmp_path / "shown"))
    assert "Rejected by ssim" in shown.all
    hidden = whole_story(tmp_path / "real", origins=["real"])
    assert "Rejected by ssim" not in read(write_report(ReportConfig(), **hidden, out=tmp_path / "hidden")).all


def test_two_filters_are_counted_in_order_and_together(story, tmp_path):
    people, gan, generated, _, *trainings = story["runs"]
    detector = DetectorFilter(str(write_darknet(tmp_path / "net", small_cfg())), 0.99, size=(32, 16))
    filters, reference = [SSIMFilter(-1), detector], ReidTable.read(people).train
    apply_filters(ReidTable.read(generated), filters, reference, tmp_path / "filtered")
    runs = [people, gan, generated, tmp_path / "filtered", *trainings]
    found = read(write_report(ReportConfig(), **{**story, "runs": runs}, out=tmp_path / "page"))
    assert "of those left before, %" in found.all
    assert "detector 6 100.00 100.00 100.00 100.00" in found.all  # no random network is that sure
    assert "ssim and detector both reject 1 crops (1.0 if they knew nothing of each other)" in found.all


def test_matches_are_green_and_mistakes_red(page):
    content = page.read_text()
    assert content.count('class="crop right"') == content.count('class="crop wrong"') == 6  # 3 queries, 2 networks


def test_the_same_folders_give_the_same_bytes(page, story, tmp_path):
    again = write_report(
        ReportConfig(title="A title & more", note="One.\n\nTwo.", limits="A toy."), **story, out=tmp_path / "x"
    )
    for name in ("index.html", "report.json", "table.md"):
        assert (again.parent / name).read_bytes() == (page.parent / name).read_bytes()


def test_the_same_command_again_returns_the_page(story, tmp_path, monkeypatch):
    page = write_report(**story, out=tmp_path / "x")
    monkeypatch.setattr("reidgen.report.page.render_page", lambda *_: pytest.fail("made again"))
    assert write_report(**story, out=tmp_path / "x") == page
    with pytest.raises(RunError, match="another run"):
        write_report(ReportConfig(title="Another"), **story, out=tmp_path / "x")


def test_the_same_folders_on_other_sides_are_another_page(tmp_path):
    folders = two_sides(tmp_path)
    write_report(**folders, out=tmp_path / "page")
    swapped = {**folders, "baseline": folders["extended"], "extended": folders["baseline"]}
    with pytest.raises(RunError, match="holds another run"):
        write_report(**swapped, out=tmp_path / "page")


def test_a_seed_that_one_side_lacks_is_in_no_comparison(tmp_path):
    """Seeds lie 10 points apart, the sides 1 and 2 points: +1.50, where the means over all runs would say -3.50."""
    people = ReidTable.read(people_run(tmp_path / "people"))
    figures = {"a": {0: 0.30, 1: 0.40, 2: 0.50}, "b": {0: 0.31, 1: 0.42}}
    sides = [
        [
            evaluation_run(tmp_path / f"{side}{s}", people, seed=s, mAP=mAP, generated=5 * (side == "b"))
            for s, mAP in runs.items()
        ]
        for side, runs in figures.items()
    ]
    evidence = Evidence.read(*sides, [])
    assert "mAP went from 35.00 ± 7.07 % to 36.50 ± 7.78 %, +1.50 points" in headline(evidence)
    assert "rest on the 2 seeds that both sides have" in small_print(evidence)
    assert result_rows(evidence)[0][:4] == ["mAP, %", "35.00 ± 7.07", "36.50 ± 7.78", "+1.50"]


def test_ranked_lists_are_of_runs_of_one_seed(tmp_path):
    people = ReidTable.read(people_run(tmp_path / "people"))
    before = [evaluation_run(tmp_path / f"before-{seed}", people, seed=seed) for seed in (0, 1)]
    after = [evaluation_run(tmp_path / f"after-{seed}", people, seed=seed, generated=5) for seed in (1, 2)]
    pages = [
        write_report(baseline=before, extended=some, out=tmp_path / name).read_text()
        for name, some in (("one", after), ("two", after[1:]))
    ]
    assert "runs of seed 1." in pages[0] and "runs of seed 0 and 2." in pages[1]


def test_real_people_are_on_the_page_only_where_that_was_asked_for(tmp_path):
    story = whole_story(tmp_path / "story", origin="real", origins=("real",))
    content = write_report(**story, out=tmp_path / "page").read_text()
    assert "data:image/jpeg" not in content
    assert content.count("data:image/png") == 1  # the histogram
    assert "Real people are not shown" in content
    assert "learned from real people are not shown" in content
    asked = write_report(ReportConfig(show_real="allow"), **story, out=tmp_path / "asked").read_text()
    assert asked.count("data:image/jpeg") > 20
    assert "not shown" not in asked


def test_a_baseline_alone_makes_a_page(tmp_path):
    people = ReidTable.read(people_run(tmp_path / "people"))
    page = write_report(baseline=[evaluation_run(tmp_path / "e", people)], out=tmp_path / "page")
    found = read(page)
    assert (
        "There is no run with generated people yet. The baseline has mAP 30.00 % and rank-1 40.00 % "
        "(a single run, seed 0)."
    ) in found.all
    assert "Ranked lists" in found.titles
    assert "extended" not in (page.parent / "table.md").read_text()


def test_a_dcgan_has_no_curve_of_an_augmentation(tmp_path):
    people = ReidTable.read(people_run(tmp_path / "people"))
    baseline = [evaluation_run(tmp_path / "e", people)]
    found = []
    for name, config in (
        ("style", StyleGANConfig(size=(32, 16), kimg=2)),
        ("dcgan", DCGANConfig(size=(32, 16), kimg=2)),
    ):
        gan = generator_run(tmp_path / name, config=config)
        found.append(read(write_report(baseline=baseline, runs=[gan], out=tmp_path / f"page of {name}")).all)
    for title in ("Loss", "Discriminator's output", "Fakes after 2 thousand images"):
        assert title in found[1]
    assert "Augmentation probability p" in found[0]
    assert "Augmentation probability p" not in found[1]


def test_lists_of_a_table_that_is_gone_are_empty_frames(tmp_path):
    import shutil

    people = ReidTable.read(people_run(tmp_path / "people"))
    evaluation = evaluation_run(tmp_path / "e", people)
    shutil.rmtree(tmp_path / "people")
    content = write_report(baseline=[evaluation], out=tmp_path / "page").read_text()
    assert content.count('class="veil"') == 3 * 3
    assert "Crops whose table is not there any more are not shown" in content


def two_sides(tmp_path, **extended):
    people = ReidTable.read(people_run(tmp_path / "people"))
    trainings = [
        training_run(tmp_path / "t0"),
        training_run(
            tmp_path / "t1",
            steps=extended.get("steps", 40),
            lr=extended.pop("lr", 0.05),
            label=extended.get("generated_label", "table"),
        ),
    ]
    before = evaluation_run(tmp_path / "e0", people, training=trainings[0])
    after = evaluation_run(tmp_path / "e1", people, training=trainings[1], **{"mAP": 0.4, "generated": 5, **extended})
    return {"baseline": [before], "extended": [after], "runs": [tmp_path / "people", *trainings]}


def warned(folders):
    return list(warnings(Evidence.read(**folders)))


def test_a_single_run_is_called_one(tmp_path):
    assert headline(Evidence.read(**two_sides(tmp_path))) == (
        "One run on each side cannot tell: with 2 generated people (5 crops) in the train split, mAP went from 30.00 % "
        "to 40.00 %, +10.00 points. Without several seeds on each side this may be chance: in Alvarez-Gonzalez's "
        "tables (thesis, 5.10 and 5.11) single runs whose data hardly differ lie half a point apart."
    )


def test_what_the_training_made_of_generated_crops_is_told_and_is_no_confound(tmp_path):
    folders = two_sides(tmp_path, generated_label="lsro", generated_weight=0.5)
    assert 'with 2 generated people (5 crops, label policy "lsro", weight 0.5) in the' in headline(
        Evidence.read(**folders)
    )
    assert not warned(folders)


def test_extended_runs_of_several_policies_are_no_comparison(tmp_path):
    folders = two_sides(tmp_path, generated_label="lsro")
    people = ReidTable.read(tmp_path / "people")
    other = training_run(tmp_path / "t2", label="mprl", seed=1)
    again = evaluation_run(tmp_path / "e2", people, training=other, seed=1, mAP=0.4, generated=5)
    folders = {**folders, "extended": [*folders["extended"], again], "runs": [*folders["runs"], other]}
    assert "Confounded: the trainings also differ in generated_label." in warned(folders)


SPOILT = [
    ({}, None),
    (
        {"steps": 60},
        "Confounded: the baseline was trained for 40 steps and the extended runs for 60. Part of any difference is the "
        "length of the training, not the generated people. Train both with the same steps.",
    ),
    ({"lr": 0.1}, "Confounded: the trainings also differ in lr."),
    (
        {"config": EvaluateConfig(flip="none")},
        "The runs were evaluated by different protocols (see below), so their figures must not be compared.",
    ),
    ({"crops": "dd" * 32}, "The runs were evaluated on different crops, so their figures must not be compared."),
    ({"generated": 0}, "An extended run was trained without a generated crop."),
]


@pytest.mark.parametrize(("change", "warning"), SPOILT)
def test_what_spoils_a_comparison_is_said(tmp_path, change, warning):
    assert warned(two_sides(tmp_path, **change)) == ([warning] if warning else [])


def test_a_generator_that_saw_test_people_is_said(tmp_path):
    folders = two_sides(tmp_path)
    folders["runs"].append(generator_run(tmp_path / "gan", split="all"))
    assert warned(folders) == [
        "The generator, or one it was transferred from, learned from the split all: it may have seen test people, and "
        "what the re-ID network gains from its crops it may have from them."
    ]


def test_what_the_generators_parent_saw_counts(tmp_path):
    folders = two_sides(tmp_path)
    parent = generator_facts(split="all", origins=["real"])
    folders["runs"].append(generator_run(tmp_path / "gan", ancestors=[parent]))
    evidence = Evidence.read(**folders)
    assert evidence.learned_from == {"rendered", "real"}
    assert len(list(warnings(evidence))) == 1


def test_weights_from_elsewhere_are_of_unknown_origin(tmp_path):
    folders = two_sides(tmp_path)
    folders["runs"].append(generated_run(tmp_path / "made", ancestors=[{"parent": None}]))
    assert Evidence.read(**folders).learned_from == {"rendered", "unknown"}


def test_trainings_that_are_not_given_are_missed(tmp_path):
    (told,) = warned({**two_sides(tmp_path), "runs": []})
    assert told.startswith("Not every training is among the runs")


def test_an_unfinished_run_is_named_word_for_word(tmp_path):
    run = RunFolder.begin(tmp_path / "e", stage="evaluate", config=EvaluateConfig())
    run.record["command"] = "reidgen evaluate --out e"
    run.note_cost()
    run.close()
    with pytest.raises(RunError) as error:
        write_report(baseline=[tmp_path / "e"], out=tmp_path / "page")
    assert str(error.value) == (
        f"The run in {tmp_path / 'e'} is not finished.\n"
        "  got: status running\n"
        "  allowed: status done\n"
        "  try: reidgen evaluate --out e"
    )
    assert not (tmp_path / "page").exists()


def test_a_training_in_place_of_an_evaluation_is_named_word_for_word(tmp_path):
    with pytest.raises(RunError) as error:
        write_report(baseline=[training_run(tmp_path / "t")], out=tmp_path / "page")
    assert str(error.value) == (
        f"{tmp_path / 't'} is not an evaluation.\n"
        "  got: a run of train-reid\n"
        "  allowed: a folder of reidgen evaluate\n"
        "  try: runs for folders of other stages"
    )


def test_folders_that_come_twice_are_refused(tmp_path):
    folders = two_sides(tmp_path)
    with pytest.raises(ConfigError, match="Two runs of the baseline have one seed"):
        write_report(**{**folders, "baseline": folders["baseline"] * 2}, out=tmp_path / "page")
    with pytest.raises(ConfigError, match="two folders of one kind"):
        write_report(**{**folders, "runs": folders["runs"] + folders["runs"][:1]}, out=tmp_path / "page")
    with pytest.raises(ConfigError, match="at least one baseline"):
        write_report(baseline=[], out=tmp_path / "page")
    with pytest.raises(RunError, match="not a run folder"):
        write_report(baseline=[tmp_path], out=tmp_path / "page")


@pytest.mark.parametrize(("fact", "value"), [("steps", "many"), ("dataset", None), ("training_seed", [])])
def test_a_fact_of_another_type_is_told(tmp_path, fact, value):
    people = ReidTable.read(people_run(tmp_path / "people"))
    folder = evaluation_run(tmp_path / "result", people, **{fact: value})
    with pytest.raises(RunError, match=rf"result\.json is damaged\.\n  got: facts\.{fact} is "):
        write_report(ReportConfig(), baseline=[folder], out=tmp_path / "page")
