import pytest
import torch

from reidgen.config import InversionConfig
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import save_state
from reidgen.engine.runs.records import read_json, write_checked
from reidgen.errors import RunError, WeightsError
from reidgen.files import write_json
from reidgen.generators.inversion.inverted import read_inversion, way_file


@pytest.fixture
def inversion(tmp_path):
    """A run of invert with one way, by a generator whose hash is "g"."""
    with RunFolder.begin(tmp_path, stage="invert", config=InversionConfig(), inputs={"generator": "g"}) as run:
        write_json(run.path / "inversion.json", {"crops": ["a"], "likeness": {}, "methods": [{"method": "optimise"}]})
        save_state(way_file(run.path, "optimise"), {"ws": torch.ones(1, 2, 3)})
        run.finish({})
    return tmp_path


def read(folder):
    return read_inversion(folder, way=None, generator="g")


@pytest.mark.parametrize(("part", "field"), [("inputs", "generator"), ("config", "tune_for")])
def test_a_record_that_lacks_what_is_read_of_it_is_told(inversion, part, field):
    assert read(inversion).names == ["a"]
    record = read_json(inversion / "run.json", {})
    del record[part][field]
    write_checked(inversion / "run.json", record)
    with pytest.raises(RunError, match=r"run\.json is damaged") as error:
        read(inversion)
    assert error.value.got == f"no {part}.{field}"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({}, (RunError, r"way-optimise\.safetensors is damaged")),
        ([1], (RunError, r"way-optimise\.safetensors is damaged")),
        ({"ws": torch.full((1, 2, 3), torch.nan)}, (WeightsError, "weights that are not numbers")),
    ],
)
def test_w_that_are_not_there_or_not_finite_are_told(inversion, state, told):
    save_state(way_file(inversion, "optimise"), state)
    with pytest.raises(told[0], match=told[1]):
        read(inversion)
