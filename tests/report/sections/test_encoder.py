from reidgen.config import EncoderConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.report.evidence import Evidence
from reidgen.report.page import write_report
from tests.report.made import evaluation_run, generator_run, people_run, variants_run


def encoder_run(folder):
    run = RunFolder.begin(folder, stage="train-encoder", config=EncoderConfig(steps=6), inputs={})
    for step in range(1, 7):
        figures = dict.fromkeys(("loss", "l2", "reid"), 1 / step)
        tested = {f"test_{name}": 2 / step for name in figures} if step % 3 == 0 else {}
        run.metrics.write(step=step, **figures, **tested)
    run.finish({"images": 1234, "people": 90, "split": "train", "held_out_people": [91, 92]})
    return folder


def test_the_encoders_curves_are_on_the_page(tmp_path):
    people = ReidTable.read(people_run(tmp_path / "people"))
    baseline = [evaluation_run(tmp_path / "e", people)]
    page = write_report(baseline=baseline, runs=[encoder_run(tmp_path / "encoder")], out=tmp_path / "page").read_text()
    assert "1,234 crops of 90 people of the split train; the test is on 2 others" in page
    assert "1 - cosine of re-ID embeddings" in page and "Perceptual distance" not in page  # which was not measured
    assert "The encoder" not in write_report(baseline=baseline, out=tmp_path / "without").read_text()


def test_variants_of_real_people_are_shown_as_little_as_these(tmp_path):
    gan = generator_run(tmp_path / "gan")  # which has seen rendered people alone
    for origin, shown in (("rendered", True), ("real", False)):
        people = ReidTable.read(people_run(tmp_path / f"people {origin}"))
        made = variants_run(tmp_path / origin, people, parent_origin=origin)
        baseline = [evaluation_run(tmp_path / f"e {origin}", people)]
        assert Evidence.read(baseline, [], [gan, made]).learned_from == {"rendered", origin}
        page = write_report(baseline=baseline, runs=[gan, made], out=tmp_path / f"page {origin}").read_text()
        assert ("learned from real people are not shown" not in page) == shown
