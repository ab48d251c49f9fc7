"""Datasets by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

from reidgen.config import PrepareConfig
from reidgen.data.audit.findings import Finding
from reidgen.data.disk.notes import notes, tell
from reidgen.data.readers import cuhk03, folder, market1501, msmt17, sets
from reidgen.data.table import ReidTable
from reidgen.errors import DataError

SAMPLE = Path(__file__).parents[2] / "assets" / "people"
READERS: dict[str, Callable[[Path, PrepareConfig], ReidTable]] = {
    "market1501": market1501.read,
    "msmt17": msmt17.read,
    "cuhk03": cuhk03.read,
    "folder": folder.read,
    "reidgen": lambda root, _: ReidTable.read(root),
    **dict.fromkeys(sorted(sets.known()), sets.read),
}
NOT_SUPPORTED = {
    "dukemtmc": "it was withdrawn by its authors in 2019, as the people in it had not agreed (docs/ethics.md)",
}


def load_dataset(
    name: str,
    root: Path | str | None = None,
    *,
    variant: Literal["detected", "labeled"] = "detected",
    pattern: str | None = None,
    labels: Path | str | None = None,
    expect_counts: Literal["check", "any"] = "check",
    train_share: float | None = None,
    split_by: str | None = None,
    split_names: tuple[str, ...] = (),
    camera_map: tuple[str, ...] = (),
    skip_unmatched: bool = False,
    seed: int = 0,
) -> ReidTable:
    """Read a dataset as it was downloaded. What lies beside it and is passed over is told on the error stream.

    Args:
        name: "market1501", "msmt17", "cuhk03", "cuhk01", "grid", "ilids", "mars", "occluded-reid", "pku-reid", "prid",
            "viper", "folder" (any folder, described by `pattern` or `labels`), "reidgen" (any folder that reidgen
            wrote), or "sample": the shipped rendered people, which need no root.
        root: The dataset's folder.
        variant: CUHK03's boxes.
        pattern: For "folder": regular expression with the named groups pid, camid (unless nobody knows the cameras),
            optionally seq, frame, split.
        labels: For "folder", in place of a pattern: a CSV file, see `PrepareConfig`.
        expect_counts: "any" accepts a part of a set whose published counts would be checked.
        train_share: Share of the people in train, for "folder" and sets without a split; None: as `split_by` says.
        split_by: Another way to split, see `PrepareConfig`.
        split_names: For "folder": own names of splits, such as "probe=query".
        camera_map: For "folder": numbers of cameras, such as "1,2=1".
        skip_unmatched: For "folder": leave out images whose paths do not fit the pattern.
        seed: Of a split that is drawn.

    Raises:
        DataError: The folder does not hold what it should.
        ConfigError: The pattern is not usable.
    """
    if name == "sample":
        return ReidTable.read(SAMPLE)
    _check_name(name)
    if root is None:
        raise DataError(f'The dataset "{name}" needs a root.', got="no root", allowed="the folder of the dataset",
                        fix=f'load_dataset("{name}", root="data/{name}")')  # fmt: skip
    options = PrepareConfig(
        dataset=cast(Any, name),
        variant=variant,
        pattern=pattern,
        labels=None if labels is None else str(labels),
        expect_counts=expect_counts,
        train_share=train_share,
        split_by=split_by,
        split_names=split_names,
        camera_map=camera_map,
        skip_unmatched=skip_unmatched,
        seed=seed,
    )
    return read(root, options)[0]


def read(root: Path | str, config: PrepareConfig) -> tuple[ReidTable, list[Finding]]:
    """A dataset by its reader, and what is to be told of it, which is told.

    Raises:
        DataError: As `load_dataset`.
        ConfigError: As `load_dataset`.
    """
    table = READERS[config.dataset](Path(root), config)
    found = notes(root, table, sets.of_folder(config))
    tell(found)
    return table, found


def _check_name(name: str) -> None:
    if name in READERS:
        return
    withdrawn = next((reason for word, reason in NOT_SUPPORTED.items() if word in name.lower().replace("-", "")), None)
    raise DataError(
        f'There is no dataset "{name}".'
        if withdrawn is None
        else f'The dataset "{name}" is not supported: {withdrawn}.',
        got=name,
        allowed=", ".join([*READERS, "sample"]),
        fix=None if withdrawn else 'any folder of crops: load_dataset("folder", root=..., pattern=...)',
    )
