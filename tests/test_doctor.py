"""`reidgen doctor` and `reidgen cache`, as a user sees them."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from reidgen import doctor
from reidgen.cli import main
from reidgen.engine.devices import bfloat16

ROOT = Path(__file__).parents[1]


def test_every_extra_is_told_with_what_it_is_for():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(known) - {"dev"}
    assert [one.name for one in doctor.found_extras()] == list(doctor.EXTRAS)
    assert all(one.here or one.lacking for one in doctor.found_extras())


def test_what_is_missing_or_of_another_version_is_told_with_what_to_type(monkeypatch):
    versions = {"warp-lang": "1.19.0", "mediapipe": "0.10.9"}

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    render = doctor.extra_of("render", [Requirement("anny==0.6.2"), Requirement("warp-lang>=1.5")])
    assert (render.here, render.lacking) == (("warp-lang 1.19.0",), ("anny==0.6.2",))
    assert render.fix() == "pip install 'reidgen[render]'"
    masks = doctor.extra_of("annotate", [Requirement("ai-edge-litert==2.3.0")])
    assert masks.lacking == ("ai-edge-litert==2.3.0", "mediapipe==0.10.21")
    assert masks.fix() == "pip install 'reidgen[annotate]' and pip install --no-deps mediapipe==0.10.21"
    unknown = doctor.extra_of("video", [])
    assert unknown.lacking == ("reidgen[video]",) and unknown.fix() == "pip install 'reidgen[video]'"
    versions["ai-edge-litert"] = "2.3.0"
    assert doctor.extra_of("annotate", [Requirement("ai-edge-litert==2.3.0")]).fix() == (
        "pip install --no-deps mediapipe==0.10.21"
    )


@pytest.mark.slow
def test_doctor_tells_all_in_a_few_lines(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    main(["doctor"])
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0].startswith("reidgen 0.") and f"torch {torch.__version__}" in lines[0]
    heads = ["devices", "bf16 on this CPU", "cache", "weights", "extras"]
    assert [line.partition(":")[0] for line in lines[1:6]] == heads
    assert "generator (shipped), movenet (shipped)" in lines[4]
    assert "what would not work:" in lines
    assert "  device cuda, precision fp16: there is no CUDA device" in lines
    assert "  ImageNet weights without a connection: they are downloaded once" in lines
    assert len(lines) < 40 and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_processor_that_computes_wrongly_is_told(monkeypatch):
    monkeypatch.setattr(bfloat16, "_sound", {})
    monkeypatch.setattr(bfloat16, "_agrees", lambda func, args, kwargs: args[0].shape[-1] > 4)
    wrong = list(doctor.wrong_in_bfloat16())
    expected = ["conv2d of (4, 64, 8, 4) by (128, 64, 3, 3)", "conv2d of (4, 64, 8, 4) by (128, 64, 1, 1)"]
    assert wrong == expected
    assert doctor._bfloat16(wrong).startswith("2 of 4 kinds of convolution are wrong; ")


def test_a_cache_without_a_place_or_room_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    monkeypatch.setattr(doctor, "LITTLE_DISK_GB", float("inf"))
    lines, troubles = doctor._cache()
    assert lines[0].startswith(f"cache: {tmp_path / 'not' / 'there'} (empty; ")
    assert troubles[1] == f"trainings: {tmp_path} cannot be written; set REIDGEN_CACHE to a folder that can"
    assert re.fullmatch(r"large tables: [\d.]+ GB are free for decoded crops; .*", troubles[2])

    monkeypatch.delenv("REIDGEN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert doctor._cache()[1] == ["all that is kept between runs: no home; set REIDGEN_CACHE to a folder"]


def test_cache_lists_and_clears(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path))
    (tmp_path / f"{'a' * 32}-128x64.npy").write_bytes(bytes(2_000_000))
    main(["cache"])
    assert capsys.readouterr().out.splitlines()[:2] == [f"kept in {tmp_path}", "decoded crops: 1 file, 2.0 MB"]
    main(["cache", "--clear"])
    assert capsys.readouterr().out.splitlines()[:2] == [f"removed from {tmp_path}", "decoded crops: 1 file, 2.0 MB"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        main(["cache", "--weights"])
    assert capsys.readouterr().err.startswith("error: --weights goes with --clear.")
