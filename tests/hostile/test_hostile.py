"""A few of the hostile inputs of each kind; `make fuzz` tries thousands."""

import os
import sys

import pytest
from PIL import Image

from reidgen.errors import DataError
from tests.hostile import commands, pictures, runs, tables, weights
from tests.hostile.guard import Case, Forbidden, ends_well, seeds, small_networks

KINDS = {  # module and cases in a run of the tests, of which so many at least are refused
    "pictures": (pictures, 90, 40),
    "tables": (tables, 60, 15),
    "runs": (runs, 60, 15),
    "weights": (weights, 65, 40),
    "commands": (commands, 60, 30),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request, tmp_path_factory):
    module, count, refused = KINDS[request.param]
    with small_networks():
        yield module.Cases(tmp_path_factory.mktemp(request.param)), count, refused


@pytest.mark.filterwarnings("ignore")
def test_hostile_inputs_are_refused_in_words_or_do_no_harm(kind):
    cases, count, refused = kind
    assert seeds(cases, 0, count).count("refused") >= refused


@pytest.mark.filterwarnings("ignore")
def test_whole_weights_are_opened(tmp_path):
    with small_networks():
        for path, use in weights.Cases(tmp_path).files.values():
            use(path)


def started():
    import subprocess

    subprocess.run([sys.executable, "--version"], check=True)


def hidden(path):
    try:
        path.write_text("x")
    except Exception:
        return


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (lambda folder: started(), "subprocess.Popen"),
        (lambda folder: os.system("true"), "os.system"),
        (lambda folder: hidden(folder / "other.txt"), "open"),
        (lambda folder: (folder / "kept.txt").rename(folder / "own" / "kept.txt"), "os.rename"),
        (lambda folder: __import__("pickle").loads(b"cos\nsystem\n."), "pickle.find_class"),
    ],
)
def test_the_guard_sees(does, told, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(Forbidden, match=told):
        ends_well(Case("bad", lambda: does(tmp_path), (tmp_path / "own",), tmp_path))
    assert (tmp_path / "kept.txt").read_text() == "kept"


def test_the_guard_sees_what_was_written_without_python(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    save = Image.new("RGB", (2, 2)).tobytes

    def writes():
        handle = os.open(tmp_path / "kept.txt", os.O_RDONLY)
        os.close(handle)
        assert save()
        os.utime(tmp_path / "kept.txt")

    assert ends_well(Case("good", writes, (), tmp_path)) == "done"


def test_an_error_of_ours_is_a_refusal_and_any_other_is_not():
    def refuse():
        raise DataError("No.")

    def fail():
        raise ValueError("no")

    assert ends_well(Case("good", refuse)) == "refused"
    with pytest.raises(ValueError, match="no"):
        ends_well(Case("bad", fail))
