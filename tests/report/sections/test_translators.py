from reidgen.config import TranslateConfig, TranslatorConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.report.evidence import Evidence
from reidgen.report.page import write_report
from tests.factories import make_table
from tests.report.made import evaluation_run, people_run
from tests.report.sections.test_fidelity import fidelity_run


def translator_run(folder, preset="background", **facts):
    config = TranslatorConfig(preset=preset, source=1, target=2, size=(32, 16), steps=4)
    run = RunFolder.begin(folder, stage="train-translator", config=config, inputs={})
    for step in range(1, 5):
        figures = {
            "loss_g": 1 / step,
            "loss_d": 0.5,
            "gan": 0.2,
            "l1": 0.0,
            "foreground": 0.3,
            "d_real": 1.0,
            "d_fake": -1.0,
        }
        run.metrics.write(step=step, lr=2e-4, **figures)
    run.finish({"split": "train", "images": 8, "origins": ["rendered"], "people": 4, "steps": 4, **facts})
    return folder


def translated_run(folder, people, *, parent_origin="rendered", target=2):
    """One crop of camera 1, twice, as another camera."""
    parent = people.rows["file_name"][0]
    columns = {"origin": ["generated"] * 2, "parent": [parent] * 2, "parent_origin": [parent_origin] * 2}
    cameras = [target] * 2
    table = make_table([1, 1], cameras, root=folder, name="translated people", target_camid=cameras, **columns)
    run = RunFolder.begin(folder, stage="generate translate", config=TranslateConfig(outputs=2), inputs={})
    table.write_metadata(folder)
    facts = {"split": "train", "origins": [parent_origin]}
    run.finish({"crops": 2, "by_way": {f"1 to {target}": 2}, "presets": ["background"], "translator_training": [facts]})
    return folder


def test_translated_people_stand_between_what_they_were_and_what_they_should_be(tmp_path):
    people = ReidTable.read(people_run(tmp_path / "people"))
    runs = [tmp_path / "people", translator_run(tmp_path / "translator"), translated_run(tmp_path / "moved", people)]
    page = write_report(runs=runs, out=tmp_path / "page").read_text()
    assert "No network is evaluated here" in page
    assert "background, camera 1 to 2" in page and "4 steps of 32: 8 crops, 4 people, split train" in page
    assert "foreground" in page and ">l1<" not in page  # a part of the loss that is nowhere is not drawn
    row = page[page.index("moved: background") :]
    row = row[row.index("as it was translated; right") : row.index("</section>")]
    captions = ["camera 1", "as camera 2", "as camera 2", "target", "target", "target"]
    assert row.count("<img") == len(captions)
    places = [row.index(f"<figcaption>{caption}<") for caption in dict.fromkeys(captions)]
    assert places == sorted(places)
    (first,) = row.split("target</figcaption>")[:1]
    assert "rendered crop of person 1, camera 2" in first  # the person's own crops by the target come first


def test_runs_stand_side_by_side_with_the_distance_from_their_target(tmp_path):
    people = ReidTable.read(people_run(tmp_path / "people"))
    moved = [translated_run(tmp_path / name, people) for name in ("first", "second")]
    near = fidelity_run(tmp_path / "near", {None: 7.5}, camera=2)
    elsewhere = fidelity_run(tmp_path / "elsewhere", {None: 9.5})
    page = write_report(runs=[tmp_path / "people", *moved, near, elsewhere], out=tmp_path / "page").read_text()
    part = page[page.index("People in another camera") :]
    part = part[: part.index("</section>")]
    captions = ["camera 1", *["first: as camera 2"] * 2, *["second: as camera 2"] * 2, *["target"] * 3]
    assert part.count('class="row"') == 1 and part.count("<img") == len(captions)
    assert [part.count(f"<figcaption>{one}<") for one in dict.fromkeys(captions)] == [1, 2, 2, 3]
    cells = part[part.index("<tbody") : part.index("</tbody>")]
    assert cells.count("<tr") == 1 and "FID 7.50" in cells and ">8.50<" in cells and ">3.25<" in cells


def test_translated_real_people_are_shown_as_little_as_these(tmp_path):
    people = ReidTable.read(people_run(tmp_path / "people", origin="real"))
    moved = translated_run(tmp_path / "moved", people, parent_origin="real")
    assert Evidence.read([], [], [moved]).learned_from == {"real"}
    page = write_report(runs=[moved, tmp_path / "people"], out=tmp_path / "page").read_text()
    assert "<img" not in page and "learned from real people are not shown" in page


def test_a_translator_that_saw_test_people_is_told(tmp_path):
    people = ReidTable.read(people_run(tmp_path / "people"))
    baseline = [evaluation_run(tmp_path / "e", people)]
    runs = [translator_run(tmp_path / "translator", split="all")]
    assert "may have seen test people" in write_report(baseline=baseline, runs=runs, out=tmp_path / "page").read_text()
    runs = [translator_run(tmp_path / "strict")]
    assert "may have seen" not in write_report(baseline=baseline, runs=runs, out=tmp_path / "other").read_text()
