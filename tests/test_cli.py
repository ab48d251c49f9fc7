import inspect
import io
import json
import os
import re
import resource
import subprocess
import sys

import pytest

import reidgen
from reidgen.cli import GENERATE, VERBS, main
from reidgen.config import GenerateConfig, QuickstartConfig, ReidConfig, RenderConfig, StyleGANConfig
from reidgen.errors import ConfigError, on_command_line

LONGEST = 34  # words between two stops of a help text


def sentences(text):
    """The sentences of a printed help, whatever the width that it was folded to; an option's name begins one."""
    plain = " ".join(re.sub(r"[╭╮╰╯│─]+", " ", text).split())
    return re.split(r"(?<=[.;:?])\s|\s(?=--)", plain)


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "reidgen", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [[], ["sweep"]])
def test_help_is_quick_and_needs_no_torch(words):
    code = (
        "import sys\nfrom reidgen.cli import main\n"
        f"try:\n    main({[*words, '--help']})\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'polars', 'numpy', 'PIL') if m in sys.modules])"
    )
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    assert spent < 1.0  # of CPU: the machine may be busy
    assert out.stdout.splitlines()[-1] == "[]"
    assert words or all(verb in out.stdout for verb in VERBS)


@pytest.mark.parametrize(
    ("options", "other"),
    [
        (["--preset", "dcgan", "--gamma", "2"], "person-stylegan2"),
        (["--width=2"], "dcgan"),
        (["--preset=market-stylegan3-r", "--beta1", "0"], "dcgan"),
        (["--preset", "dcgan", "--loss", "relativistic"], "market-stylegan3-t"),
    ],
)
def test_an_option_of_another_preset_says_whose_it_is(options, other, capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["train-generator", "--data", str(tmp_path), "--out", str(tmp_path / "new"), *options])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "goes with other names than --preset" in said
    assert other in said.splitlines()[2]
    assert "--help" in said.splitlines()[3]
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_check_above_would_see_torch():
    out = subprocess.run(
        [sys.executable, "-c", "import sys, reidgen.engine.devices.device\nprint('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "True"


@pytest.mark.slow
def test_what_trainings_and_pictures_need_is_not_imported_by_other_verbs():
    """Fabric imports TorchDynamo, more than a second of three."""
    stages = ("evaluate", "search", "filters.apply", "generators.people.people")
    code = "import sys\n" + "".join(f"import reidgen.{stage}\n" for stage in stages)
    code += "print([name for name in ('torch._dynamo', 'lightning_fabric', 'matplotlib') if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


@pytest.mark.parametrize("verb", [*sorted(set(VERBS) - {"generate"}), *(f"generate {name}" for name in GENERATE)])
def test_every_verb_has_help_and_its_common_options(verb, capsys):
    with pytest.raises(SystemExit) as end:
        main([*verb.split(), "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--out", "--seed", "--dry-run"))
    assert not [said for said in sentences(text) if len(said.split()) > LONGEST]
    assert not re.search(r"(?<!there )\b(is|are) no |[Tt]he sources", text)


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path, capsys):
    main(["train-generator", "--data", "people", "--out", str(tmp_path / "gan"), "--size", "64", "32", "--dry-run"])
    plan = json.loads(capsys.readouterr().out)
    assert plan["stage"] == "train-generator" and plan["config"]["size"] == [64, 32]
    assert list(tmp_path.iterdir()) == []


def test_wrong_option_value_is_told_in_four_parts(tmp_path):
    out = run("train-generator", "--data", "x", "--out", str(tmp_path), "--size", "100", "50")
    assert out.returncode == 2
    assert out.stderr == (
        "error: --size does not fit the generator.\n  got: 100x50\n"
        "  allowed: height a power of two from 16 to 1024, width equal to it or half of it\n  try: --size 128 64\n"
    )


def test_a_file_that_the_system_refuses_is_named(tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "crops/1.jpg")

    monkeypatch.setattr("reidgen.cli.reid.read_table", refuse)
    with pytest.raises(SystemExit) as end:
        main(["train-reid", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")])
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: crops/1.jpg cannot be read or written.\n  got: Permission denied\n"


def test_a_folder_without_a_table_says_what_to_type(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(SystemExit) as end:
        main(["train-reid", "--data", str(data), "--out", str(tmp_path / "run")])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        f"error: {data} holds no table.\n"
        "  got: no metadata.parquet in bounding_box_train, query, bounding_box_test\n"
        "  allowed: a folder written by reidgen\n"
        f"  try: reidgen prepare --dataset market1501 --root {data} --out DIR\n"
    )


@pytest.mark.parametrize(
    "verb",
    [
        "train-generator --data DATA",
        "train-encoder --generator x --data DATA",
        "invert --generator x --data DATA",
        "generate variants --generator x --data DATA",
        "filter --data DATA",
        "filter --data x --reference DATA",
        "extend --real DATA --generated x",
        "extend --real x --generated DATA",
        "train-reid --data DATA",
        "evaluate --model x --data DATA",
        "search --model x --query DATA --gallery x",
        "search --model x --query x --gallery DATA",
        "fidelity --real DATA",
        "fidelity --real x --fake DATA",
        "sweep --real DATA",
        "sweep --real x --generated DATA",
    ],
)
def test_no_verb_writes_into_the_crops_that_it_reads(tmp_path, capsys, verb):
    for out in (tmp_path, tmp_path / "run"):
        with pytest.raises(SystemExit) as end:
            main([*verb.replace("DATA", str(tmp_path)).split(), "--out", str(out)])
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith("error: --out is a folder that is read, or lies in one.\n")
    assert list(tmp_path.iterdir()) == []


def test_help_and_errors_are_printed_in_every_locale(monkeypatch, tmp_path):
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding="ascii") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    with pytest.raises(SystemExit):
        main(["evaluate", "--model", f"{tmp_path}/m\u00fc\udcff\x1b[2J", "--data", str(tmp_path), "--out", "x"])
    streams["stderr"].flush()
    assert rb"/m\xfc\udcff\x1b[2J" in streams["stderr"].buffer.getvalue()  # and no command to the terminal


def test_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out.startswith("reidgen 0.")


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        *(
            (StyleGANConfig, name, 0)
            for name in ("z_dim", "channel_base", "channel_max", "r1_interval", "lr_generator")
        ),
        *((StyleGANConfig, name, 0) for name in ("kimg", "snapshot_kimg", "ada_kimg", "path_interval")),
        *((StyleGANConfig, name, -1) for name in ("gamma", "freeze_d", "ema_kimg", "seed")),
        *((ReidConfig, name, -1) for name in ("weight_decay", "backbone_lr", "seed", "steps")),
        (GenerateConfig, "batch", 0),
        (GenerateConfig, "psi", float("nan")),
        (QuickstartConfig, "steps", 0),
        (RenderConfig, "seed", -1),
    ],
)
def test_a_value_that_no_stage_can_use_is_named_before_the_stage_begins(kind, option, value):
    with pytest.raises(ConfigError) as error:
        kind(**{option: value})
    assert error.value.what.startswith(f"{option} ")
    assert error.value.told(on_command_line).startswith(f"--{option.replace('_', '-')} ")
    assert error.value.got is value


def test_help_says_what_each_knob_of_the_generator_is(capsys):
    with pytest.raises(SystemExit):
        main(["train-generator", "--help"])
    text = capsys.readouterr().out
    expected = ("Weight of R1 (and R2)", "Width of the latent space z", "Probability that a training")
    assert all(words in text for words in expected)


def test_what_the_public_functions_take_is_public_too():
    configs = (hint for name in reidgen.__all__ for hint in _hints(getattr(reidgen, name)))
    missing = {hint for hint in configs if hint.endswith("Config")} - set(reidgen.__all__)
    assert missing == set()


def _hints(member):
    parameters = inspect.signature(member).parameters.values() if inspect.isfunction(member) else ()
    return [name for parameter in parameters for name in re.findall(r"\w+Config", str(parameter.annotation))]


@pytest.mark.parametrize(("name", "words"), [("/disk/a.png", "/disk/a.png"), (None, "A file")])
def test_a_full_disk_is_one_line_and_not_a_traceback(monkeypatch, capsys, name, words):
    def full(_):
        raise OSError(28, "No space left on device", name)

    monkeypatch.setattr("reidgen.cli._dispatch", full)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    expected = f"error: {words} cannot be read or written.\n  got: No space left on device\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("words", [["--help"], ["sweep", "--help"], ["--version"]])
def test_a_reader_that_goes_is_no_fault(words):
    """As `| head -1`; 141 is what a shell says of a program whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "reidgen", *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_broken_pipe_inside_is_a_traceback(monkeypatch):
    monkeypatch.setattr("reidgen.cli._dispatch", lambda _: (_ for _ in ()).throw(BrokenPipeError("a worker's")))
    with pytest.raises(BrokenPipeError, match="a worker's"):
        main(["--version"])


def test_an_error_of_ours_is_a_traceback(monkeypatch):
    monkeypatch.setattr("reidgen.cli._dispatch", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output"):
        main([])


def test_ctrl_c_while_modules_are_imported_is_one_line(tmp_path):
    (tmp_path / "tyro.py").write_text("raise KeyboardInterrupt\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "reidgen", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stderr) == (130, "stopped before anything was done.\n")
