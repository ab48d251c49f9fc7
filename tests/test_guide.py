"""Every command and program of the documents runs, at toy size; the sweeps' numbers fit the crops they are given."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from reidgen.cli import main
from reidgen.config.sweep import PRESET_AXES
from reidgen.generators.training import gan
from reidgen.generators.translation import domain_crops as translation_crops
from reidgen.models import resnet
from reidgen.sweep import run
from reidgen.sweep.launching import worker
from tests.darknet_files import small_cfg, write_darknet
from tests.data.readers.test_cuhk03 import np_folders
from tests.data.readers.test_msmt17 import LISTS, msmt
from tests.factories import make_table, write_crop
from tests.foreign_files import golden, upstream_pickle
from tests.generators.transfer.test_convert import STYLEGAN3_R, network, snapshot
from tests.sweep.made import Inline, pretend

ROOT = Path(__file__).parents[1]
PARTS = ("guide", "tutorials", "explanations", "cards")


def shell_lines(text):
    """The lines of a page's shell blocks; a backslash at the end joins two."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


PAGES = [
    ROOT / "README.md",
    *(page for part in PARTS for page in sorted((ROOT / "docs" / part).glob("*.md"))),
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}
LINES = [line for text in TEXTS.values() for line in shell_lines(text)]
# The same line on several pages is one command; their order is that of the pages.
COMMANDS = [shlex.split(line, comments=True)[1:] for line in dict.fromkeys(LINES) if line.startswith("reidgen ")]
PROGRAMS = [
    program
    for name, text in TEXTS.items()
    if name != "README.md"
    for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
]
# Words of a command that need what tests do not have: a package, or more than one machine.
NEEDS = {"timm:": "timm", "mp4": "av", "--launcher": None}
SEARCH = "--search-steps 1 --tune-steps 1"
LIKENESS = "--perceptual-backbone resnet18 --perceptual-weights data/resnet18.safetensors"
# What is added to the commands of a verb, so that it takes a moment: of two values of an option the last one counts.
TOY = {
    "prepare": "--expect-counts any",
    "render": "--people 8 --cameras 2 --images-per-camera 2 --workers 1",
    "annotate": "--keypoint-confidence 0 --visible-score 0 --body-points 1",
    "train-generator": "--size 16 8 --kimg 0.004 --batch 4 --z-dim 32",
    "train-encoder": f"--width 8 --steps 2 --batch 2 --passes 1 --test-crops 2 --weights random {LIKENESS}",
    "invert": f"--crops 2 {SEARCH} {LIKENESS}",
    "train-translator": "--size 32 16 --width 4 --steps 2 --batch 2",
    "train-rotator": "--size 32 16 --width 2 --code 4 --steps 2 --batch 2 --backbone resnet18 --weights random",
    "generate people": "--people 6 --variants 3",
    "generate variants": f"--crops 1 --variants 2 {SEARCH} {LIKENESS}",
    "generate grid": "--rows 1 --columns 2",
    "generate video": "--rows 1 --columns 1 --keyframes 2 --segment-frames 2",
    "train-reid": "--steps 2 --weights random --size 32 16 --batch 8 --bottleneck 8",
    "train-unsupervised": "--epochs 1 --epoch-steps 1 --backbone resnet18 --weights random --size 32 16 --batch 8"
    " --crops-per-cluster 2 --norm-batch 4 --k1 3 --k2 1 --eps 0.5 --min-samples 2 --agreement-k 3",
    "sweep": "--seeds 1 --reid.backbone resnet18 --reid.weights random --reid.batch 2 --reid.size 32 16 --reid.steps 1",
    "worth": "--seeds 2 --axis real=all,1/2 --reid.size 32 16 --reid.batch 2 --reid.steps 1 --reid.bottleneck 8",
    "evaluate": "--rerank-k1 3 --rerank-k2 2 --expansion-neighbours 2",
    "search": "--shown 2",
    "fidelity": "--fakes 4",
    "view": "--dry-run",
}
BLIND = (
    "--seeds 1 --unsupervised.epochs 1 --unsupervised.epoch-steps 1 --unsupervised.backbone resnet18"
    " --unsupervised.weights random --unsupervised.size 32 16 --unsupervised.batch 8"
    " --unsupervised.crops-per-cluster 2 --unsupervised.k1 3 --unsupervised.k2 1"
    " --unsupervised.norm-batch 4 --unsupervised.eps 0.5 --unsupervised.min-samples 2 --unsupervised.agreement-k 3"
)
REAL = ("sweep-people", "sweep-few", "sweep-share", "sweep-blind", "worth")  # the sweeps that train
AXES = {
    "norm_batch": "norm_batch=4,8",
    "people": "people=0,2",
    "crops": "crops=0,1",
    "real": "real=all,1/2",
}  # in place of a command's or preset's


def toy(words):
    """The command at toy size."""
    verb = " ".join(words[:2]) if words[0] == "generate" else words[0]
    more = (BLIND if "unsupervised" in words else TOY.get(verb, "")).split()
    if verb == "train-generator":
        more += (
            ["--width", "4"] if "dcgan" in words else ["--w-dim", "32", "--channel-base", "256", "--channel-max", "16"]
        )
    if verb == "train-reid" and "--backbone" not in words:
        more += ["--backbone", "resnet18"]
    if "--views" in words:
        more += ["--epochs", "4"]
    if verb == "extend" and "--people" in words:
        more += ["--people", "3"]
    if "detector" in words and "--detector" not in words:
        more += ["--detector", "data/net/net.weights", "--detector-threshold", "0", "--ssim-threshold", "-1"]
    words = [AXES.get(word.partition("=")[0], word) if "=" in word else word for word in words]
    preset = words[words.index("--preset") + 1] if verb == "sweep" and "--preset" in words else "none"
    varied = {word.partition("=")[0] for word in words if "=" in word}
    if preset == "ways" or "way" in varied:
        more += ["--unsupervised.epochs", "4"]
    for name in (axis.partition("=")[0] for axis in PRESET_AXES.get(preset, ())):
        more += ["--axis", AXES[name]] if name in AXES.keys() - varied else []
    return words + more


def written(order):
    """The folder that a command or a program writes; its words where it writes none."""
    if isinstance(order, str):
        return next(iter(re.findall(r'(?:write\(|out=)"(.+?)"', order)), order)
    return order[order.index("--out") + 1] if "--out" in order else " ".join(order)


def named(order):
    """What a command or a program may read: each word, or each text in quotes."""
    return re.findall(r'"(.+?)"', order) if isinstance(order, str) else " ".join(order).split()


class Workspace:
    """A folder in which commands and programs run, each after those whose --out it reads."""

    def __init__(self, orders, capsys):
        self.capsys = capsys
        self.writes = {written(order): order for order in orders}
        assert len(self.writes) == len(orders), "two commands of the documents write to one folder"
        self.ended = {}

    def run(self, out):
        """Run what writes to a folder, once; the error it ended with, or None."""
        if out not in self.ended:
            self.ended[out] = None
            order = self.writes[out]
            for word in named(order):
                path = word.rpartition("=")[2].removeprefix("reid:")
                for other in self.writes:
                    if other != out and (path == other or path.startswith(f"{other}/")):
                        self.run(other)
            if isinstance(order, str):
                exec(order, {})
                return None
            try:
                main(toy(order))
            except SystemExit:
                self.ended[out] = f"{shlex.join(order)}: {self.capsys.readouterr().err[-400:]}"
        return self.ended[out]


def downloads(folder):
    """What the commands read that none of them writes: data as it is downloaded, weights, a picture, a folder."""
    make_table(
        [pid for pid in range(1, 9) for _ in range(2)] + [9, 10, 11, 12] * 2,
        [1, 2] * 8 + [1] * 4 + [2] * 4,
        splits=["train"] * 16 + ["query"] * 4 + ["gallery"] * 4,
        root=folder / "Market-1501",
    )
    shutil.copytree(folder / "Market-1501" / "query", folder / "Market-1501" / "gt_bbox")
    shutil.copytree(folder / "Market-1501", folder / "masks")
    for path in (folder / "masks").rglob("*.jpg"):
        with Image.open(path) as crop:
            mask = crop.convert("L").point(lambda value: 255 * (value > 127))
        mask.save(path)
    write_crop(folder / "visitor.jpg")
    for name in ("0001_c1_0", "0002_c2_0"):
        write_crop(folder / "fakes" / f"{name}.jpg")
    shutil.copytree(folder / "Market-1501" / "bounding_box_test", folder / "crops")
    for number in range(16):
        write_crop(folder / "street" / f"cam{1 + number % 2}_{number:04d}.jpg", seed=number)
    msmt(folder / "MSMT17")
    for lines in LISTS.values():
        for line in lines:
            for split in ("train", "test"):
                write_crop(folder / "MSMT17" / split / line.split()[0])
    np_folders(folder / "cuhk03-np")
    for split, pid in (("train", "anna"), ("query", "ben"), ("gallery", "ben")):
        write_crop(folder / "mine" / split / pid / f"cam{1 + (split == 'gallery')}_1.jpg", seed=len(split))
    (folder / "mine" / "labels.csv").write_text("path,pid\ntrain/anna/cam1_1.jpg,anna\n")
    for file in ("cam_a/001_0.bmp", "cam_b/001_90.bmp", "cam_a/002_0.bmp", "cam_b/002_90.bmp"):
        write_crop(folder / "VIPeR" / file, seed=int(file[6:9]))
    write_darknet(folder / "net", small_cfg())
    for name in ("stylegan3-r-afhqv2-512x512.pkl", "stylegan3-r-ffhq-1024x1024.pkl"):
        (folder / name).write_bytes(upstream_pickle(snapshot(network(golden("stylegan3_r_32")[0], **STYLEGAN3_R))))
    for name in ("resnet18", "resnet50"):
        made = resnet.ResNet(name)
        made.initialise(torch.Generator().manual_seed(0))
        save_file(made.state_dict(), folder / f"{name}.safetensors", metadata={"stride_in_1x1": "false"})
    learned = {f"module.encoder_q.{name}": value for name, value in made.state_dict().items()}
    torch.save({"epoch": 800, "state_dict": learned}, folder / "moco_v2_800ep_pretrain.pth.tar")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the downloads, narrow networks and small sheets; of the sweeps only the one on a page trains."""
    trained = worker.run_point
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
    monkeypatch.setattr(run, "_workers", lambda *_: Inline())
    monkeypatch.setattr(
        worker,
        "run_point",
        lambda order: trained(order) if any(name in order["folder"] for name in REAL) else pretend(order),
    )
    monkeypatch.setattr(gan, "SHEET_IMAGES", 4)
    monkeypatch.setattr(translation_crops, "FEWEST_TARGETS", 2)
    downloads(tmp_path / "data")
    return tmp_path


def possible(words):
    lacking = [need for part, need in NEEDS.items() if any(word.startswith(part) for word in words)]
    return all(need is not None and importlib.util.find_spec(need) for need in lacking)


@pytest.mark.slow
def test_every_command_and_program_runs(folder, capsys):
    commands = [words for words in COMMANDS if possible(words)]
    assert len(commands) > 100
    assert len(PROGRAMS) > 2
    space = Workspace([*commands, *PROGRAMS], capsys)
    faults = [space.run(out) for out in space.writes]
    faults = [fault for fault in faults if fault]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("line", [line for line in dict.fromkeys(LINES) if not line.startswith("reidgen ")])
def test_other_lines_name_what_is_there(line):
    """Lines of shell blocks that are not commands of reidgen: targets of make, programs and their options, packages."""
    words = shlex.split(line, comments=True)
    if words[0] == "python":
        program = (ROOT / words[1]).read_text()
        options = [word[2:].replace("-", "_") for word in words if word.startswith("--")]
        assert all(re.search(rf"\b{option}: ", program) for option in options)
    elif "make" in words:
        target = words[words.index("make") + 1]
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()
    else:
        assert words[:2] in (["pip", "install"], ["git", "clone"])


def test_the_program_of_the_readme_runs(folder):
    (program,) = re.findall(r"```python\n(.*?)```", TEXTS["README.md"], re.DOTALL)
    small = {
        "size=(128, 64)": "size=(16, 8), kimg=0.008, batch=4, z_dim=8, w_dim=8, channel_base=64, channel_max=8",
        "people=280, variants=51": "people=4, variants=3",
        "people=280": "people=3",
        "steps=24_000": 'steps=2, backbone="resnet18", weights="random", size=(32, 16), batch=4, bottleneck=8',
        'root="data/Market-1501"': 'root="data/Market-1501", expect_counts="any"',
    }
    for large, toy_sized in small.items():
        assert large in program
        program = program.replace(large, toy_sized)
    exec(program, {})


def made_by(out):
    """Of the command that writes generated crops to a folder, or that they were filtered from: how many a person."""
    words = next(words for words in COMMANDS if words[-1] == out)
    if words[0] == "filter":
        return made_by(words[words.index("--data") + 1])
    number = {
        name: int(words[words.index(f"--{name}") + 1])
        for name in ("people", "variants", "crops")
        if f"--{name}" in words
    }
    return number.get("people"), number["variants"] * number.get("crops", 1)


SWEEPS = [
    words
    for words in COMMANDS
    if words[0] == "sweep" and "--generated" in words and not {"--launcher", "--trains"} & {*words}
]


@pytest.mark.parametrize("words", SWEEPS, ids=lambda words: words[-1].removeprefix("runs/"))
def test_a_sweep_asks_for_no_more_than_was_made(words, tmp_path, monkeypatch, capsys):
    """At the documents' own numbers, on tables without pictures: a dry run makes the table of every point."""
    monkeypatch.chdir(tmp_path)
    pids, splits = [pid for pid in range(1, 17) for _ in range(40)] + [17, 17], ["train"] * 640 + ["query", "gallery"]
    real = make_table(pids, splits=splits)
    real.write_metadata("runs/market")
    generated = words[words.index("--generated") + 1]
    people, each = made_by(generated)
    if people is None:  # crops of real people
        first = dict(real.train.rows.select("pid", "file_name").reverse().iter_rows())
        pids = [pid for pid in first for _ in range(each)]
        columns = {"parent": [first[pid] for pid in pids], "score_identity": [1.0] * len(pids)}
    else:
        pids, columns = list(range(1, people + 1)), {}
    make_table(pids, origin=["generated"] * len(pids), name="made", **columns).write_metadata(generated)
    main([*words, "--seeds", "1", "--dry-run"])
    assert '"points"' in capsys.readouterr().out
