"""Published sets that are folders of crops: sets.toml says where each lies, what its paths say, and its counts."""

import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from reidgen.config import PrepareConfig
from reidgen.data.readers import folder
from reidgen.data.readers.counts import check
from reidgen.data.readers.names import find_folder
from reidgen.data.table import ReidTable


@cache
def known() -> dict[str, dict[str, Any]]:
    """What sets.toml says of each set, by the name of the dataset."""
    return tomllib.loads(Path(__file__).with_name("sets.toml").read_text(encoding="utf-8"))


def read(root: Path, config: PrepareConfig) -> ReidTable:
    """Read `config.dataset` in the split of its authors, or the seeded one in their proportion where they drew several.

    Raises:
        DataError: The folder does not hold the set, a path is not of its form, or the counts are not the published.
    """
    one = known()[config.dataset]
    place = find_folder(root, one["inner"], holds=one["holds"], dataset=one["title"])
    table = replace(folder.read(place, of_folder(config)), name=one["title"])
    published = one["published"]
    if config.split:  # not the authors'
        published = {split: counts for split, counts in published.items() if split == "all"}
    return check(table, published, config.expect_counts)


def of_folder(config: PrepareConfig) -> PrepareConfig:
    """A set's config as that of the folder reader; that of another reader as it is."""
    one = known().get(config.dataset)
    if one is None:
        return config
    return replace(
        config,
        dataset="folder",
        pattern=one["pattern"],
        split_names=tuple(one.get("splits", ())),
        camera_map=tuple(one.get("cameras", ())),
        skip_unmatched=one.get("skip", False),
        split_by=config.split_by if config.split else one.get("split"),
    )
