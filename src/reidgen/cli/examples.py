"""Of each verb with many options: those that are used most, which its help shows first, and examples for its end."""

import itertools
from pathlib import Path

# Fields of the config, beside what the verb reads and writes; --seed follows them.
FIRST: dict[str, tuple[str, ...]] = {
    "prepare": ("dataset", "pattern", "labels", "split_by", "size", "expect_counts", "bad_files"),
    "annotate": ("what", "masks", "keypoint_confidence", "angles", "device"),
    "train-generator": ("size", "kimg", "batch", "mirror", "snapshot_kimg", "transfer", "device"),
    "train-encoder": ("backbone", "steps", "batch", "lr", "perceptual_backbone", "device"),
    "train-translator": ("preset", "source", "target", "size", "steps", "batch", "device"),
    "train-rotator": ("structure", "labels", "size", "angles", "steps", "batch", "device"),
    "invert": ("methods", "people", "crops", "search_steps", "tune_steps", "device"),
    "filter": ("filters", "ssim_threshold", "detector", "reid", "identity_threshold", "calibrate", "device"),
    "train-reid": ("recipe", "backbone", "weights", "size", "epochs", "steps", "batch", "generated_label"),
    "train-unsupervised": ("recipe", "backbone", "weights", "size", "epochs", "epoch_steps", "batch", "cameras"),
    "evaluate": ("protocol", "metric", "flip", "rerank", "ranked", "device"),
    "search": ("top", "shown", "same_above", "metric", "rerank", "maps", "pictures"),
    "sweep": ("preset", "axis", "arm", "seeds", "length", "trains", "workers", "launcher"),
    "worth": ("arm", "axis", "seeds", "workers", "launcher"),
    "fidelity": ("fakes", "snapshots", "split", "size", "features", "device"),
    "report": ("title", "note", "limits", "show_real"),
    "generate people": ("people", "variants", "mix", "weight", "psi", "cameras", "device"),
    "generate variants": ("variants", "people", "crops", "mix", "weight", "invert"),
    "generate translate": ("source", "target", "crops", "outputs", "pose", "split", "device"),
    "generate rotate": ("angles", "nearest", "split", "device"),
    "generate video": ("show", "path", "rows", "columns", "format", "fps"),
    "generate grid": ("show", "rows", "columns", "person", "mix", "psi"),
}


def examples(verb: str) -> str:
    """The end of a verb's help, out of examples.txt; nothing for a verb with few options."""
    lines = Path(__file__).with_name("examples.txt").read_text(encoding="utf-8").splitlines()
    told = itertools.pairwise(lines)
    found = [f"  {words}\n  {line}\n" for words, line in told if line.startswith(f"reidgen {verb} --")]
    return "".join(["examples:\n", *found]) if found else ""
