import pytest

from reidgen.config import ConvertConfig
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.errors import ConfigError
from reidgen.files import write_json
from reidgen.report.evidence import Evidence
from reidgen.report.page import write_report
from tests.report.made import evaluation_run, people_run

HASH = "0123456789abcdef" * 4


def converted_run(folder, **report):
    source = {"file": "stylegan3-r-<afhq>.pkl", "sha256": HASH, "taken": "ema"}
    run = RunFolder.begin(folder, stage="convert", config=ConvertConfig(), inputs={"weights": HASH})
    generator = {"copied": ["a", "b", "c"], "constants": ["filter"], "to_float32": []}
    write_json(folder / "convert.json", {**source, "generator": generator, **report})
    facts = {"split": "unknown", "origins": ["unknown"], "images": None, "kimg": None, "ancestors": []}
    run.finish(
        {**facts, "source": source, "licence": "For <research> only.", "network": "stylegan3-r", "size": [64, 32]}
    )
    return folder


def test_a_converted_network_is_on_the_page(tmp_path):
    baseline = [evaluation_run(tmp_path / "e", ReidTable.read(people_run(tmp_path / "people")))]
    discriminator = {"copied": ["d"] * 1234, "constants": [], "to_float32": ["d", "e"]}
    whole = converted_run(tmp_path / "whole", discriminator=discriminator)
    page = write_report(baseline=baseline, runs=[whole], out=tmp_path / "page").read_text()
    assert "stylegan3-r at 64x32, from stylegan3-r-&lt;afhq&gt;.pkl" in page
    assert HASH in page
    assert "For &lt;research&gt; only." in page
    for row in (("generator", "3", "1", "0"), ("discriminator", "1,234", "0", "2")):
        assert f'<th scope="row">{row[0]}</th>' + "".join(f'<td class="number">{n}</td>' for n in row[1:]) in page
    assert Evidence.read(baseline, [], [whole]).learned_from == {"unknown"}
    half = converted_run(tmp_path / "half", discriminator={"left_out": "it has labels"})
    page = write_report(baseline=baseline, runs=[half], out=tmp_path / "page of half").read_text()
    assert "The discriminator was left out: it has labels." in page
    with pytest.raises(ConfigError, match="two folders of one kind"):
        Evidence.read(baseline, [], [whole, half])
