"""All figures of one comparison, and the floor: the same figures between two halves of the real crops."""

from typing import Any

import numpy as np
import torch

from reidgen.config.fidelity import FidelityConfig
from reidgen.engine.devices.device import derive_seed
from reidgen.fidelity.extractors import Extractor
from reidgen.metrics.fidelity.scores import Moments, frechet_distance, kernel_distance, precision_recall

BLOCK = 1024  # features in float64 at a time
Figures = dict[str, Any]


def key_of(measure: str) -> str:
    """Name of a Fréchet distance among the figures: `fid`, or `re_id_fid`, as one network's are not another's."""
    return measure.lower().replace("-", "_")


def kernel_key_of(measure: str) -> str:
    """Name of the kernel distance of the same features: `kid`, or `re_id_kid`."""
    return key_of(measure).removesuffix("fid") + "kid"


def draw(count: int, whole: int, *name: int | str) -> np.ndarray:
    """`count` different rows of `whole`, seeded by a name, in ascending order; all of them where count is whole."""
    return np.sort(np.random.default_rng(derive_seed("rows", *name)).permutation(whole)[:count])


def halves(features: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of `count` features without a common row, at random."""
    order = np.random.default_rng(derive_seed("halves", seed)).permutation(len(features))
    return features[np.sort(order[:count])], features[np.sort(order[count : 2 * count])]


def compare(real: np.ndarray, fake: np.ndarray, config: FidelityConfig, extractor: Extractor) -> Figures:
    """Every figure between two sets of features (N, D) and (M, D)."""
    name = key_of(extractor.measure)
    kid = kernel_distance(
        real, fake, subsets=config.kid_subsets, size=config.kid_size, seed=derive_seed("kid", config.seed) % 2**32
    )
    same = min(len(real), len(fake))
    shown = [one if len(one) == same else one[draw(same, len(one), "manifold", config.seed)] for one in (real, fake)]
    overlap = precision_recall(*(torch.from_numpy(one) for one in shown), neighbours=config.neighbours)
    return {
        "real": len(real),
        "fake": len(fake),
        name: frechet_distance(gaussian(real), gaussian(fake)),
        kernel_key_of(extractor.measure): {
            "mean": kid.mean,
            "sd": kid.sd,
            "full": kid.full,
            "subsets": kid.subsets,
            "size": kid.size,
        },
        "precision": overlap.precision,
        "recall": overlap.recall,
        "density": overlap.density,
        "coverage": overlap.coverage,
        "manifold_crops": same,
    }


def gaussian(features: np.ndarray) -> Moments | np.ndarray:
    """Moments taken block by block; the features themselves where they are fewer than their width."""
    if len(features) < features.shape[1]:
        return np.array(features)
    return Moments.over(np.array(features[at : at + BLOCK]) for at in range(0, len(features), BLOCK))


def floor(real: np.ndarray, count: int, config: FidelityConfig, extractor: Extractor) -> Figures:
    """The figures of real crops against other real crops: what a perfect generator would get at this number."""
    return compare(*halves(real, count, config.seed), config, extractor)


def beside_floor(
    real: np.ndarray, fake: np.ndarray, count: int, config: FidelityConfig, extractor: Extractor
) -> Figures:
    """The figures at the floor's number of crops: one half of the floor against as many generated crops."""
    name = key_of(extractor.measure)
    half, _ = halves(real, count, config.seed)
    some = fake[draw(count, len(fake), "same number", config.seed)]
    return {"real": count, "fake": count, name: frechet_distance(gaussian(half), gaussian(some))}
