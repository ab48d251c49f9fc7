"""Every stage, killed with SIGKILL and started again, ends with the bytes of a run that was never killed."""

import signal
from pathlib import Path

import pytest

from tests.darknet_files import small_cfg, write_darknet
from tests.factories import make_table, write_crop, write_masks
from tests.foreign_files import golden, module, upstream_pickle
from tests.forked import run_forked
from tests.generators.translation.conftest import write_people
from tests.generators.views.conftest import write_views

KILL_AT_WRITE = """
import os, signal, sys
from reidgen import files

left, whole = int(sys.argv.pop(1)), files.write_chunks

def write_chunks(path, chunks):
    global left
    left -= 1
    if left == 0:
        data = b"".join(chunks)
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / f".{path.name}.killed.reidgen.tmp").write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    whole(path, chunks)

for module in list(sys.modules.values()):  # what all atomic writes end in, by each name that it was imported under
    if getattr(module, "write_chunks", None) is whole:
        module.write_chunks = write_chunks
from reidgen.models import resnet
if "quickstart" not in sys.argv:  # which opens the shipped network
    resnet.WIDTHS = (8, 8, 8, 8)  # small checkpoints
from reidgen.cli import main
main()
"""
TINY_GAN = [
    "--size",
    "32",
    "16",
    "--z-dim",
    "16",
    "--w-dim",
    "16",
    "--channel-base",
    "256",
    "--channel-max",
    "8",
    "--batch",
    "4",
]
TINY_REID = ["--backbone", "resnet18", "--weights", "random", "--size", "32", "16", "--bottleneck", "8", "--batch", "4"]


OF_TIME = ("point.json", "points.csv", "points.parquet")  # of a sweep, with the seconds of its runs


def command(kill_at, *arguments):
    return run_forked(KILL_AT_WRITE, kill_at, *arguments)


def content(folder):
    files = {p.relative_to(folder): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if name.name not in ("run.json", ".lock", "report.json", "index.html", *OF_TIME) and name.parent.name != "logs"
    }


def killed_and_whole(tmp_path, kill_at, *arguments):
    """Run a verb whole, then killed at the given atomic writes under the same path, and compare the two folders."""
    out, whole = tmp_path / "run", tmp_path / "whole"
    done = command(0, *arguments, "--out", out)
    assert done.returncode == 0, done.stderr
    out.rename(whole)
    for number in kill_at:
        killed = command(number, *arguments, "--out", out)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = command(0, *arguments, "--out", out)
    assert again.returncode == 0, again.stderr
    assert content(whole) == content(out)
    assert content(out), "nothing was written"
    return out


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Folders of each stage on nine people of three cameras, filled in order by the tests below."""
    root = tmp_path_factory.mktemp("chain")
    for pid in range(1, 10):
        for camid in range(1, 4):
            split = "bounding_box_train" if pid < 7 else "query" if camid == 1 else "bounding_box_test"
            for frame in range(2):
                write_crop(
                    root / "market" / split / f"{pid:04d}_c{camid}s1_{frame:06d}_00.jpg",
                    seed=100 * pid + 10 * camid + frame,
                )
    return root


@pytest.mark.slow
def test_every_stage_up_to_the_extended_table(chain):
    people = killed_and_whole(
        chain / "prepare", [1, 2, 4], "prepare", "--root", chain / "market", "--expect-counts", "any"
    )
    masks = write_masks(chain / "masks", chain / "market")
    killed_and_whole(chain / "annotated", [2, 4, 9], "annotate", "--data", people, "--masks", masks)
    gan = killed_and_whole(
        chain / "gan",
        [2, 4, 7],
        "train-generator",
        "--data",
        people,
        *TINY_GAN,
        "--kimg",
        "0.08",
        "--snapshot-kimg",
        "0.04",
        "--checkpoint-sec",
        "0",
    )
    fakes = killed_and_whole(
        chain / "fakes",
        [2, 9],
        "generate",
        "people",
        "--generator",
        gan,
        "--people",
        "4",
        "--variants",
        "5",
        "--cameras",
        "3",
        "--batch",
        "3",
    )
    small = ["--rows", "1", "--columns", "2", "--scale", "1"]
    killed_and_whole(
        chain / "walk",
        [2, 4],
        "generate",
        "video",
        "--generator",
        gan,
        *small,
        "--keyframes",
        "2",
        "--segment-frames",
        "3",
    )
    killed_and_whole(chain / "grid", [2], "generate", "grid", "--generator", gan, *small)
    kept = killed_and_whole(chain / "kept", [1, 3, 5], "filter", "--data", fakes, "--reference", people, "--calibrate")
    killed_and_whole(chain / "more", [2, 4], "extend", "--real", people, "--generated", kept, "--people", "3")


@pytest.mark.slow
def test_every_stage_from_the_re_id_training_on(chain):
    people, gan = chain / "table", chain / "sampler"
    for verb in (
        ["prepare", "--root", chain / "market", "--expect-counts", "any", "--out", people],
        ["train-generator", "--data", people, *TINY_GAN, "--kimg", "0.008", "--out", gan],
    ):
        done = command(0, *verb)
        assert done.returncode == 0, done.stderr
    reid = killed_and_whole(
        chain / "reid", [2, 4, 6], "train-reid", "--data", people, *TINY_REID, "--epochs", "3", "--checkpoint-sec", "0"
    )
    result = killed_and_whole(chain / "result", [1, 2], "evaluate", "--model", reid, "--data", people)
    found = ["--query", people, "--gallery", people, "--rerank", "k-reciprocal", "--rerank-k1", "3", "--maps", "match"]
    killed_and_whole(chain / "search", [1, 2, 3, 4], "search", "--model", reid, *found)
    killed_and_whole(chain / "onnx", [1, 3], "export", "--model", reid)
    sizes = ["--fakes", "6", "--neighbours", "2", "--kid-size", "4", "--batch", "3"]
    near = killed_and_whole(
        chain / "near",
        [2, 3],
        *("fidelity", "--real", people, "--generator", gan, "--features", f"reid:{reid}", *sizes),
    )
    killed_and_whole(chain / "page", [1, 2], "report", "--baseline", result, "--runs", people, gan, near)


@pytest.mark.slow
def test_a_stylegan3_training_with_everything_on(tmp_path):
    """Blur, augmentation that grows, magnitudes, parts, penalties on both sides, float16: none may be lost."""
    people = tmp_path / "people"
    make_table([1 + i // 2 for i in range(12)], root=tmp_path / "crops", size=(16, 8)).write(people)
    widths = ["--size", "16", "8", "--z-dim", "8", "--w-dim", "8", "--channel-base", "64", "--channel-max", "8"]
    schedule = ["--batch", "4", "--kimg", "0.024", "--snapshot-kimg", "0.012", "--checkpoint-sec", "0"]
    moving = ["--ada-target", "-1.1", "--ada-kimg", "0.1", "--blur-kimg", "0.02"]
    parts = ["--accumulate", "2", "--loss", "relativistic", "--precision", "fp16"]
    training = ["train-generator", "--preset", "market-stylegan3-r", "--data", people]
    killed_and_whole(tmp_path / "gan", [6], *training, *widths, *schedule, *moving, *parts)


@pytest.mark.slow
def test_real_people_in_the_latent_space(tmp_path):
    people = tmp_path / "people"
    make_table([1 + i // 3 for i in range(12)], root=tmp_path / "crops", size=(16, 8)).write(people)
    widths = ["--size", "16", "8", "--z-dim", "8", "--w-dim", "8", "--channel-base", "64", "--channel-max", "8"]
    short = ["--batch", "4", "--kimg", "0.004", "--out", tmp_path / "gan"]
    done = command(0, "train-generator", "--data", people, *widths, *short)
    assert done.returncode == 0, done.stderr
    own = ["--generator", tmp_path / "gan", "--data", people]
    plain = ["--perceptual-weight", "0", "--reid-weight", "0"]
    network = ["--backbone", "resnet18", "--weights", "random", "--width", "8", "--passes", "2", "--batch", "4"]
    often = ["--steps", "3", "--log-steps", "1", "--test-steps", "2", "--snapshot-steps", "2", "--checkpoint-sec", "0"]
    encoder = killed_and_whole(tmp_path / "e", [3, 7], "train-encoder", *own, *plain, *network, *often)
    search = ["--search-steps", "3", "--tune-steps", "2"]
    ways = ["--methods", "encoder:2", "optimise", "optimise+pivotal", "--crops", "2"]
    killed_and_whole(tmp_path / "i", [4], "invert", *own, "--encoder", encoder, *plain, *search, *ways)
    made = ["generate", "variants", *own, "--crops", "2", "--variants", "3"]
    killed_and_whole(tmp_path / "v", [3, 9], *made, "--encoder", encoder)
    killed_and_whole(tmp_path / "t", [5], *made, *plain, *search, "--invert", "pivotal")


@pytest.mark.slow
def test_people_in_another_cameras_style(tmp_path):
    """Histories of made crops and the similarity network of spgan, running statistics of model 4: none may be lost."""
    people = tmp_path / "people"
    write_people(people)
    named = ["train-translator", "--data", people, "--source", "1", "--target", "2", "--device", "cpu"]
    often = ["--steps", "4", "--snapshot-steps", "2", "--checkpoint-sec", "0"]
    small = [*named, "--size", "32", "16", "--width", "2", "--batch", "3", *often]
    one = killed_and_whole(tmp_path / "spgan", [5, 9], *small, "--preset", "spgan")
    killed_and_whole(tmp_path / "background", [4, 7], *small, "--preset", "background")
    translated = ["generate", "translate", "--translator", one, "--data", people, "--batch", "5"]
    killed_and_whole(tmp_path / "translated", [4, 9], *translated)
    killed_and_whole(tmp_path / "pairs", [1, 2], "pairs", "--data", people)


@pytest.mark.slow
def test_turned_people(tmp_path):
    """The memory, moments of three learning rates, running statistics of the identity encoder: none may be lost."""
    people = tmp_path / "people"
    people.mkdir()
    write_views(people)
    often = ["--steps", "4", "--snapshot-steps", "2", "--checkpoint-sec", "0", "--batch", "3", "--device", "cpu"]
    small = ["--size", "32", "16", "--width", "2", "--code", "4", "--backbone", "resnet18", "--weights", "random"]
    named = ["train-rotator", "--data", people, "--angles", "90", "180"]
    one = killed_and_whole(tmp_path / "rotator", [4, 8], *named, *small, *often)
    turned = ["generate", "rotate", "--rotator", one, "--data", people, "--angles", "90", "--batch", "5"]
    killed_and_whole(tmp_path / "turned", [4, 9], *turned)


@pytest.mark.slow
def test_a_recipe_with_everything_on(tmp_path):
    """Centers, moments of AMSGrad, ghost batches, parts, a backbone that rests at first: none may be lost."""
    people = tmp_path / "people"
    make_table([1 + i // 3 for i in range(15)], root=tmp_path / "crops", size=(16, 8)).write(people)
    batches = ["--batch", "8", "--crops-per-person", "2", "--accumulate", "2", "--norm-batch", "2"]
    length = ["--steps", "5", "--frozen", "0.3", "--optimizer", "amsgrad", "--checkpoint-sec", "0"]
    network = ["--backbone", "resnet18", "--weights", "random", "--size", "32", "16"]
    training = ["train-reid", "--recipe", "agw", "--data", people]
    killed_and_whole(tmp_path / "reid", [2, 3], *training, *network, *batches, *length)


@pytest.mark.slow
def test_a_training_without_labels(tmp_path):
    """Clusters, agreements, proxies, rows of the classifier and their moments, weights before: none may be lost."""
    people = tmp_path / "people"
    table = make_table([1 + i // 6 for i in range(30)], root=tmp_path / "crops")
    for i, path in enumerate(table.paths):
        write_crop(path, seed=1 + i // 6, quality=40 + 8 * (i % 6))
    table.write(people)
    network = ["--backbone", "resnet18", "--weights", "random", "--size", "32", "16"]
    length = ["--epochs", "3", "--epoch-steps", "2", "--batch", "8", "--norm-batch", "4", "--checkpoint-sec", "0"]
    clusters = ["--k1", "6", "--k2", "2", "--eps", "0.6", "--min-samples", "2", "--agreement-k", "5"]
    refined = ["--agreement-from", "1", "--cameras", "proxies", "--keep", "stable"]
    training = ["train-unsupervised", "--data", people, *network, *length, *clusters, *refined]
    killed_and_whole(tmp_path / "reid", [2, 4, 6], *training)


@pytest.mark.slow
def test_converting(tmp_path):
    weights, _ = golden("stylegan3_t_32")
    (tmp_path / "network.pkl").write_bytes(upstream_pickle({"G_ema": module(weights, buffers=("w_avg",))}))
    killed_and_whole(tmp_path, [2, 3], "convert", tmp_path / "network.pkl")


@pytest.mark.slow
def test_rendering(tmp_path):
    pytest.importorskip("anny", reason="the extra `render` is not installed")
    sizes = ["--people", "2", "--cameras", "2", "--images-per-camera", "1", "--size", "64", "32", "--workers", "1"]
    killed_and_whole(tmp_path, [3, 8], "render", *sizes)


@pytest.mark.slow
def test_the_quick_start(tmp_path):
    sizes = ["--people", "3", "--variants", "2", "--steps", "2", "--seeds", "1"]
    killed_and_whole(tmp_path, [20, 12], "quickstart", *sizes)


@pytest.mark.slow
def test_filtering_by_a_detector(tmp_path):
    for pid in range(1, 10):
        write_crop(tmp_path / "market" / "bounding_box_train" / f"{pid:04d}_c1s1_000001_00.jpg", seed=pid)
    weights = write_darknet(tmp_path / "net", small_cfg())
    people = tmp_path / "people"
    done = command(0, "prepare", "--root", tmp_path / "market", "--expect-counts", "any", "--out", people)
    assert done.returncode == 0, done.stderr
    arguments = ["--filters", "detector", "--detector", weights, "--detector-threshold", "0.3", "--reference", people]
    killed_and_whole(tmp_path, [2, 3, 5], "filter", "--data", people, *arguments, "--calibrate")
    assert not (tmp_path / "run" / "scoring").exists()


@pytest.mark.slow
def test_filtering_by_a_network(tmp_path):
    for pid in range(1, 6):
        for camid in (1, 2):
            name = f"{pid:04d}_c{camid}s1_000001_00.jpg"
            write_crop(tmp_path / "market" / "bounding_box_train" / name, seed=10 * pid + camid)
    people, reid = tmp_path / "people", tmp_path / "reid"
    for arguments in (
        ("prepare", "--root", tmp_path / "market", "--expect-counts", "any", "--out", people),
        ("train-reid", "--data", people, *TINY_REID, "--steps", "1", "--out", reid),
    ):
        done = command(0, *arguments)
        assert done.returncode == 0, done.stderr
    names = ["identity", "realism", "diversity", "copies"]
    arguments = ["--filters", *names, "--reid", reid, "--reference", people, "--realism-neighbours", "1"]
    killed_and_whole(tmp_path, [2, 4, 7], "filter", "--data", people, *arguments, "--calibrate")
    assert not (tmp_path / "run" / "scoring").exists()


def test_the_harness_kills_at_the_given_write(tmp_path):
    write_crop(tmp_path / "market" / "bounding_box_train" / "0001_c1s1_000001_00.jpg")
    killed = command(1, "prepare", "--root", tmp_path / "market", "--expect-counts", "any", "--out", tmp_path / "out")
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in Path(tmp_path / "out").iterdir() if path.suffix == ".tmp"] == [
        ".run.json.killed.reidgen.tmp"
    ]
