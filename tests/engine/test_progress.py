from reidgen.engine import progress as module
from reidgen.engine.progress import progress


def test_a_file_gets_a_first_and_a_last_line(capsys):
    with progress("embed", 10, start=4) as bar:
        bar.advance(6, loss=0.25)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("embed: 4/10") and lines[0].endswith("start")
    assert lines[-1].startswith("embed: 10/10") and "loss 0.25" in lines[-1] and lines[-1].endswith("done")


def test_a_line_in_between_says_how_long_it_will_take(capsys, monkeypatch):
    monkeypatch.setattr(module.time, "monotonic", iter((0.0, 0.0, 20.0, 20.0, 30.0)).__next__)
    with progress("train", 10, start=4) as bar:
        bar.advance(2)
    assert capsys.readouterr().err.splitlines()[1] == "train: 6/10  20 s, 40 s left"
