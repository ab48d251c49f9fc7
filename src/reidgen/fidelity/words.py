"""The protocol of a measurement, and what the generator has seen, in sentences."""

from typing import Any

from reidgen.config.fidelity import FidelityConfig
from reidgen.fidelity.extractors import Extractor


def protocol_in_words(config: FidelityConfig, extractor: Extractor, facts: dict[str, Any]) -> str:
    """One paragraph that two figures must share to be comparable."""
    count, (height, width) = facts["floor_crops"], facts["size"]
    camera = "" if config.camera is None else f", camera {config.camera}"
    kid = extractor.measure.replace("FID", "KID")
    return " ".join(
        [
            f"{extractor.measure} of {facts['real_crops']:,} real crops (dataset {facts['dataset']}, split "
            f"{config.split}{camera}, table {facts['real'][:12]}) against {facts['fake_crops']:,} generated ones "
            f"({_source(config, facts)}).",
            f"Crops are compared at {height}x{width}: {_resized(config, facts)}.",
            f"Features: {extractor.words}; in batches of {config.batch}.",
            f"Statistics in float64, no constant on the diagonal. {kid}: unbiased, kernel (x.y / D + 1)^3, mean of "
            f"{config.kid_subsets} subsets of {config.kid_size:,} (fewer where a set is smaller). Precision and "
            f"recall: k = {config.neighbours}, the same features, as many crops on both sides as the smaller set has.",
            f"Floor: two random sets of {count:,} of these real crops without a common crop (the same people in both); "
            f"same_number: one of them against {count:,} of the generated crops. Seed {config.seed}.",
        ]
    )


def _source(config: FidelityConfig, facts: dict[str, Any]) -> str:
    if facts["source"] == "files":
        return f"files, table {facts['fake'][:12]}, crops that a filter rejected left out"
    return f"sampled from weights, psi {config.psi:g}, a seed each"


def _resized(config: FidelityConfig, facts: dict[str, Any]) -> str:
    changed = f"{facts['real_resized']:,} of the real crops and {facts['fake_resized']:,} of the generated ones had "
    changed += "another size and were resized first (bicubic, antialiased)"
    if config.file_format == "pixels":
        return f"{changed}; no crop was encoded again, sampled ones are bare pixels"
    made = (
        "sampled crops and resized ones" if facts["source"] == "weights" else "resized crops and those in other files"
    )
    return f"{changed}; {made} went through JPEG of quality {config.quality} (4:4:4), JPEG files of this size did not"


def seen_in_words(trainings: list[dict[str, Any]], real: str, split: str) -> str:
    """Whether the generator knows the real crops that it is compared with.

    Args:
        trainings: Facts of its training and of those it was transferred from; empty where nobody knows.
        real: Hash of the real crops.
        split: Their split.
    """
    if not trainings:
        return "Which crops the generator learned from is not known: it may have seen those that it is compared with."
    if any(facts.get("table") == real for facts in trainings):
        return (
            f"The generator learned from these very crops (split {split}), as is usual: the figure says how well their "
            "distribution is imitated, and a generator that repeated them would score best."
        )
    if not all(facts.get("table") for facts in trainings):
        return (
            "The generator, or one that it was transferred from, learned from crops that nobody knows: it may have "
            "seen those that it is compared with."
        )
    translators = all(facts.get("translator") for facts in trainings)
    known = ", ".join(
        f"{facts['images']:,} {' and '.join(facts['origins'])} crops of split {facts['split']}" for facts in trainings
    )
    if translators:
        return f"The translator learned from crops of its target camera, so maybe from these very crops: {known}."
    return f"The generator learned from other crops than it is compared with: {known}."
