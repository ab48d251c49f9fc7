"""The tool behind `make kill` tells what was killed, what had ended, and what differs."""

import itertools
import signal

import polars as pl
import pytest

from tests import kill


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    """A verb that writes two files, each in half a second, and no process behind it."""
    monkeypatch.setattr(kill, "write_crop", lambda *_, **__: None)
    monkeypatch.setattr(kill, "run", lambda command, out, until_sec=None: command[0](out, until_sec))
    clock = itertools.count()
    monkeypatch.setattr(kill.time, "monotonic", lambda: next(clock))  # a run takes a second
    return kill.Campaign(tmp_path, seed=0)


def two_files(out, until_sec):
    out.mkdir(exist_ok=True)
    (out.parent / "heard.txt").touch()
    (out / "one.txt").write_text("one")
    if until_sec is not None and until_sec < 0.5:
        return -signal.SIGKILL
    (out / "two.txt").write_text("two")
    return 0


def other_after_a_kill(out, until_sec):
    status = two_files(out, until_sec)
    if until_sec is None and (out / "killed").exists():
        (out / "two.txt").write_text("another")
    if status:
        (out / "killed").touch()
    return status


def test_a_verb_that_resumes_has_no_differences(campaign):
    campaign.undisturbed("verb", [two_files])
    for _ in range(8):
        campaign.row("verb", [two_files], 4)
    counts = campaign.counts["verb"]
    assert counts.kills > 4 and counts.ended > 2 and counts.equal == 8
    assert counts.early == 0 and counts.differences == [] and campaign.inputs_changed() == []


def test_what_a_kill_changes_is_told(campaign, capsys):
    campaign.undisturbed("verb", [other_after_a_kill])
    for _ in range(4):
        campaign.row("verb", [other_after_a_kill], 4)
    assert any("killed is too many; two.txt is another" in told for told in campaign.counts["verb"].differences)
    assert "killed is too many" in capsys.readouterr().out


def test_an_input_that_a_later_verb_changes_is_told(campaign, tmp_path):
    campaign.undisturbed("verb", [two_files])
    (tmp_path / "verb" / "whole" / "one.txt").write_text("1")
    assert campaign.inputs_changed() == ["verb/one.txt is another"]


def test_a_verb_that_fails_undisturbed_is_told_and_the_others_are_killed(campaign, capsys, monkeypatch):
    def fails(out, until_sec):
        (out.parent / "heard.txt").write_text("no such option")
        return 2

    monkeypatch.setattr(kill, "Campaign", lambda root, seed: campaign)
    monkeypatch.setattr(kill, "chain", lambda root: iter([("bad", [fails]), ("good", [two_files])]))
    monkeypatch.setenv("REIDGEN_CACHE", "")
    assert kill.campaign(campaign.root, 4, 0, []) == 1
    told = capsys.readouterr().out
    assert "bad ends undisturbed with 2" in told and "no such option" in told and "fails undisturbed: bad" in told
    assert campaign.counts["good"].kills == 4 and campaign.counts["bad"].kills == 0


def test_costs_are_no_difference(tmp_path):
    for folder, sec in (("a", 1.0), ("b", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.json").write_text(f'{{"status": "done", "cost": {{"wall_sec": {sec}}}}}')
        (tmp_path / folder / "index.html").write_text(str(sec))
        frame = pl.DataFrame({"mAP": [0.5], "wall_sec": [sec], "peak_memory_gib": [sec]})
        frame.write_parquet(tmp_path / folder / "table.parquet")
    assert kill.differences(kill.content(tmp_path / "a"), kill.content(tmp_path / "b")) == ["table.parquet is another"]
