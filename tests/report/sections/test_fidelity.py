"""The part of the page that shows how near generated crops are to real ones."""

import json

import pytest

from reidgen.config import FidelityConfig, ReportConfig, as_dict
from reidgen.engine import RunFolder
from reidgen.errors import ConfigError
from reidgen.fidelity.result import Fidelity
from reidgen.report.page import write_report
from reidgen.report.sections.fidelity import PUBLISHED, by_protocol, comparison_rows, points, rows
from tests.report.made import evaluation_run, generator_run, people_run
from tests.report.test_page import read


def figures(key, distance, *, real=24, fake=18):
    kid = {"mean": distance / 1000, "sd": 0.0005, "full": distance / 1000, "subsets": 3, "size": 5}
    return {"real": real, "fake": fake, key: distance, key[:-3] + "kid": kid, "precision": 0.75, "recall": 0.5,
            "density": 1.0, "coverage": 0.5, "manifold_crops": 18}  # fmt: skip


def fidelity_run(folder, curve, *, measure="FID", real="aa" * 32, seed=0, camera=None):
    """A measurement; curve: thousand images (None for files) -> distance."""
    config = FidelityConfig(snapshots="all", fakes=18, seed=seed, camera=camera)
    key = measure.lower().replace("-", "_")
    found = [
        {"name": f"snapshot-{kimg or 0:06d}", "kimg": kimg, "weights": f"{kimg}", **figures(key, distance),
         "same_number": {"real": 12, "fake": 12, key: distance + 1}}
        for kimg, distance in curve.items()
    ]  # fmt: skip
    facts = {"dataset": "made", "split": "train", "size": [64, 32], "real": real, "features": "bb" * 32,
             "source": "weights", "fake": "cc" * 32, "fake_crops": 18, "floor_crops": 12}  # fmt: skip
    floor = figures(key, 3.25, real=12, fake=12)
    run = RunFolder.begin(folder, stage="fidelity", config=config, inputs={"real": real})
    Fidelity(measure, found, floor, f"{measure} of 24 real crops.", "It has seen them.", facts, as_dict(config)).write(
        folder
    )
    run.finish({})
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A curve in two folders, and a distance of other features."""
    root = tmp_path_factory.mktemp("fidelity")
    return [
        fidelity_run(root / "late", {80: 21.5, 120: 14.25}),
        fidelity_run(root / "early", {40: 99.0, 80: 21.5}),
        fidelity_run(root / "reid", {None: 7.0}, measure="Re-ID-FID"),
    ]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    return write_report(ReportConfig(title="Curve"), runs=runs, out=tmp_path_factory.mktemp("out") / "page")


def test_snapshots_of_several_folders_are_one_curve(runs):
    results = [Fidelity.read(path) for path in runs]
    curve, other = sorted(by_protocol(results), key=len, reverse=True)
    assert [(point["kimg"], point["fid"]) for point in points(curve)] == [(40, 99.0), (80, 21.5), (120, 14.25)]
    assert [result.measure for result in other] == ["Re-ID-FID"]


@pytest.mark.parametrize("change", [{"real": "dd" * 32}, {"seed": 1}])
def test_another_protocol_is_another_curve(runs, tmp_path, change):
    other = fidelity_run(tmp_path / "other", {40: 1.0}, **change)
    assert len(by_protocol([Fidelity.read(path) for path in (*runs, other)])) == 3


def test_a_page_of_measurements_alone(page):
    found = read(page)
    assert found.titles == [
        "How near the generated crops are to real ones", "What it cost", "Protocol and provenance"
    ]  # fmt: skip
    for text in (
        "FID of snapshot-000120: 14.25 (24 real against 18 generated crops). Real crops against other real crops reach "
        "3.25 with 12 on each side, where these generated crops have 15.25.",
        "It has seen them.",
        "snapshot-000080 80 24 / 18 21.50 22.50 21.50 ± 0.50 75.0 50.0",
        "floor: real / other real - 12 / 12 3.25 3.25",
        "floor: real against real, 12 each",
        "FID of 24 real crops.",
        "Re-ID-FID",
        "not comparable",
        "thesis, table 5.4",
    ):
        assert text in found.all, text
    assert "baseline" not in found.all


def test_the_published_values_stand_beside_ours(page, runs):
    table = comparison_rows(by_protocol([Fidelity.read(path) for path in runs]))
    assert [row[:2] for row in table[: len(PUBLISHED)]] == [
        ["Real", "7.22"],
        ["IS-GAN", "281.63"],
        ["FD-GAN", "257.00"],
        ["PG-GAN", "151.16"],
        ["DCGAN", "136.26"],
        ["LSGAN", "136.26"],
        ["PN-GAN", "54.23"],
        ["GCL", "53.07"],
        ["DG-Net", "18.24"],
        ["DG-GAN", "18.24"],
        ["StyleGAN3", "9.29"],
    ]
    ours = [row for row in table[len(PUBLISHED) :] if row[0].startswith("FID of")]
    assert ours == [["FID of snapshot-000120", "14.25", "made, train, 64x32", "24 real against 18 generated crops"]]
    assert "made, train, 64x32 24 real against 18 generated crops 14.25" in read(page).all


def test_json_and_markdown_have_the_figures_too(page):
    said = json.loads((page.parent / "report.json").read_text())
    assert [[point["kimg"] for point in group["points"]] for group in said["fidelity"]] == [[40, 80, 120], [None]]
    assert said["fidelity"][0]["floor"]["fid"] == 3.25
    assert said["means"] == {}
    text = (page.parent / "table.md").read_text()
    assert "| snapshot-000120 | 120 | 24 / 18 | 14.25 | 15.25 | 14.25 ± 0.50 | 75.0 | 50.0 |" in text
    assert "| generated crops | kimg | real / generated crops | Re-ID-FID | Re-ID-FID as the floor |" in text
    assert "- Protocol: FID of 24 real crops." in text


def test_measurements_beside_evaluations(runs, tmp_path):
    from reidgen.data.table import ReidTable

    people = ReidTable.read(people_run(tmp_path / "people"))
    evaluation = evaluation_run(tmp_path / "e", people)
    more = [*runs, tmp_path / "people", generator_run(tmp_path / "gan")]
    page = write_report(baseline=[evaluation], runs=more, out=tmp_path / "page")
    found = read(page)
    assert found.titles.index("The generator") + 1 == found.titles.index(
        "How near the generated crops are to real ones"
    )
    assert "There is no run with generated people yet" in found.all
    assert "| rank-1, % | 40.00 |" in (page.parent / "table.md").read_text()


def test_without_evaluations_and_measurements_there_is_no_page(tmp_path, runs):
    with pytest.raises(ConfigError, match="at least one baseline"):
        write_report(runs=[generator_run(tmp_path / "gan")], out=tmp_path / "page")
    people = people_run(tmp_path / "people")
    from reidgen.data.table import ReidTable

    extended = evaluation_run(tmp_path / "e", ReidTable.read(people))
    with pytest.raises(ConfigError, match="at least one baseline"):
        write_report(extended=[extended], runs=runs, out=tmp_path / "page")


def test_one_point_needs_no_chart(tmp_path):
    page = write_report(runs=[fidelity_run(tmp_path / "one", {None: 5.0})], out=tmp_path / "page")
    assert "<svg" not in page.read_text()
    assert rows(Fidelity.read(tmp_path / "one"), Fidelity.read(tmp_path / "one").points)[0][1] == "-"
