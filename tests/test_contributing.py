"""The worked examples of CONTRIBUTING.md, applied to a copy of the package, whose commands then run."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.factories import write_crop

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
SECTIONS = GUIDE.partition("## Worked examples")[2].partition("\n## ")[0].split("\n### ")[1:]
FILES = re.compile(r"^`(?P<path>src/[^`]+)`(?P<new> \(new\))?\n\n```(?:diff|python)\n(?P<body>.*?)^```$", re.M | re.S)
TOY = {
    "prepare": "",
    "filter": "",
    "census": "",
    "train-reid": "--backbone resnet18 --weights random --size 32 16 --bottleneck 8 --steps 1 --batch 4 --device cpu"
    " --crops-per-person 2",
    "train-generator": "--size 16 8 --kimg 0.004 --batch 4 --z-dim 8 --width 4 --device cpu",
    "generate": "--device cpu",
}


def patched(text, diff):
    """A text with the hunks of a diff, each of which fits one place: what "-" and " " lines say becomes "+" and " "."""
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines()
        if all(line[0] == "-" or line[0] == "+" for line in lines):  # parts of lines
            old, new = ("\n".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
        else:
            old = "\n".join(line[1:] for line in lines if line[0] != "+")
            new = "\n".join(line[1:] for line in lines if line[0] != "-")
        assert text.count(old) == 1, f"{text.count(old)} places for\n{old}"
        text = text.replace(old, new)
    return text


def apply(section, root):
    """Write the files of an example; their paths."""
    found = list(FILES.finditer(section))
    for one in found:
        path = root / one["path"]
        if one["new"]:
            assert not path.exists()
            path.write_text(one["body"])
        else:
            path.write_text(patched(path.read_text(), one["body"]))
    return [one["path"] for one in found]


@pytest.fixture
def package(tmp_path):
    """A copy of the package, whose big files are links."""
    source = ROOT / "src" / "reidgen"
    shutil.copytree(source, tmp_path / "src" / "reidgen", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    (tmp_path / "src" / "reidgen" / "assets").symlink_to(source / "assets")
    return tmp_path


def test_each_example_touches_at_most_three_files(package):
    titles = [section.splitlines()[0] for section in SECTIONS]
    assert titles == ["A dataset", "A filter", "A recipe", "A generator", "A verb"]
    for section in SECTIONS:
        assert 1 <= len(apply(section, package)) <= 3


@pytest.mark.slow
def test_the_examples_run(package):
    for section in SECTIONS:
        apply(section, package)
    for pid in (1, 2, 3, 4):
        for number, camera in enumerate("aabb"):
            write_crop(package / "data" / "yard" / "crops" / f"{pid}_{camera}_{number}.jpg", seed=10 * pid + number)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", "".join(SECTIONS), re.S) for line in block.splitlines()]
    lines.sort(key=lambda line: "reidgen filter" in line)  # which reads what is generated after it
    commands = [shlex.split(line)[1:] + TOY[line.split()[1]].split() for line in lines]
    code = f"import sys\nfrom reidgen.cli import main\nfor words in {commands!r}:\n    main(words)\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=package,
        env={"PYTHONPATH": str(package / "src"), "PATH": "/usr/bin:/bin", "REIDGEN_CACHE": str(package / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "16 crops in runs/yard" in done.stdout
    assert "4 people in runs/census/people.csv" in done.stdout
    assert (package / "runs" / "census" / "people.csv").read_text() == "pid,crops\n1,4\n2,4\n3,4\n4,4\n"
    assert re.search(r"of 12 crops kept in runs/sharp", done.stdout)
    assert (package / "runs" / "reid" / "reid.safetensors").is_file()
    assert (package / "runs" / "lsgan" / "generator.safetensors").is_file()


def test_a_hunk_that_fits_nowhere_is_an_error():
    assert patched("a\nb\n", "-a\n+c\n@@\n b\n+d\n") == "c\nb\nd\n"
    with pytest.raises(AssertionError, match="0 places"):
        patched("a\n", "-b\n+c\n")


def test_what_github_reads_can_be_read():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert {"test", "smoke"} <= set(workflow["jobs"])
    pythons = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert len(pythons) == 3 and pythons[0] == oldest
    assert set(workflow["jobs"]["smoke"]["strategy"]["matrix"]["system"]) == {"windows-latest", "macos-latest"}
    for path in (*(ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"), ROOT / "CITATION.cff"):
        assert yaml.safe_load(path.read_text()), path
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"] and citation["license"] == "MIT"
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "types", "layers"}
