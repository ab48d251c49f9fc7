import pytest

from reidgen.config import PrepareConfig
from reidgen.data.readers import load
from reidgen.data.readers.load import load_dataset
from reidgen.errors import ConfigError, DataError
from tests.factories import make_table


def test_every_format_of_the_command_line_has_a_reader():
    for name in load.READERS:
        assert PrepareConfig(dataset=name).dataset == name
    assert set(load.READERS) == set(PrepareConfig.__annotations__["dataset"].__args__)


def test_formats_are_read_by_name_and_options_reach_the_reader(tmp_path):
    made = make_table([1, 2], root=tmp_path / "a").write(tmp_path / "b")
    assert load_dataset("market1501", root=tmp_path / "b").hash() == made.hash()
    assert load_dataset("reidgen", root=str(tmp_path / "b")).hash() == made.hash()
    assert load_dataset("market1501", tmp_path / "a", expect_counts="any").pids.tolist() == [1, 2]
    assert load_dataset("cuhk03", tmp_path / "a", expect_counts="any", variant="labeled").name == "CUHK03 labeled"
    assert load_dataset("folder", tmp_path / "a", pattern=r"(?P<pid>\d+)_c(?P<camid>\d)").pids.tolist() == [1, 2]


def test_the_sample_needs_no_root(tmp_path, monkeypatch):
    make_table([4], root=tmp_path / "a").write(tmp_path / "people")
    monkeypatch.setattr(load, "SAMPLE", tmp_path / "people")
    assert load_dataset("sample").pids.tolist() == [4]


def test_unknown_and_withdrawn_datasets_and_a_missing_root_are_named():
    with pytest.raises(
        DataError, match=r"allowed: market1501, msmt17, cuhk03, folder, reidgen, cuhk01, .*, viper, sample"
    ):
        load_dataset("market", root=".")
    with pytest.raises(
        DataError, match=r'The dataset "DukeMTMC-reID" is not supported: it was withdrawn by its authors'
    ):
        load_dataset("DukeMTMC-reID", root=".")
    with pytest.raises(DataError, match="needs a root"):
        load_dataset("market1501")
    with pytest.raises(ConfigError, match="goes with dataset='folder' only"):
        load_dataset("market1501", root=".", pattern="x")
