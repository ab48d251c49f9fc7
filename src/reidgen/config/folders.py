"""How the reader of any folder knows who is on a crop, and in which split it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reidgen.config.base import Part, require
from reidgen.errors import option

WAYS = '"share:0.5", "people:1-500", "list:FILE", or "queries"'
RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


@dataclass(frozen=True, kw_only=True)
class FolderConfig(Part):
    """How a folder of crops is read.

    Attributes:
        pattern: Folder reader: a regular expression over the relative path. It has the named group pid, camid unless
            nobody knows the cameras, and optionally seq, frame and split.
        labels: Folder reader, in place of a pattern: a CSV file with the columns path and pid, and optionally camid,
            split, seq and frame. Paths are relative to the dataset's folder.
        train_share: The share of a split "share", in short.
        split_by: How people come into splits. "share:0.5" draws half of them for train by the seed, "people:1-500,700"
            takes these numbers, "list:FILE" reads lines of PATH,SPLIT. "queries" keeps train. Of test people who have
            no query of their own, one crop a camera becomes one.
        split_names: Folder reader: own names of splits, such as training=train probe=query.
        camera_map: Folder reader: numbers of cameras by their names, such as 1,2=1 3,4=2. Each camera has to be in it.
        skip_unmatched: Folder reader: leave out images whose paths do not fit the pattern; they are told.
    """

    pattern: str | None = None
    labels: str | None = None
    train_share: float | None = None
    split_by: str | None = None
    split_names: tuple[str, ...] = ()
    camera_map: tuple[str, ...] = ()
    skip_unmatched: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.pattern is None or self.labels is None,
            f"{option('pattern')} and {option('labels')} both say who is on a crop.",
            got="both",
            allowed="one of them",
            fix=f"leave {option('pattern')} out",
        )
        require(
            self.train_share is None or 0 < self.train_share < 1,
            f"{option('train_share')} is a share.",
            got=self.train_share,
            allowed="above 0 and below 1",
            fix=option(train_share=0.5),
        )
        require(
            self.train_share is None or self.split_by is None,
            f"{option('train_share')} and {option('split_by')} both make a split.",
            got="both",
            allowed="one of them",
            fix=option(split_by=f"share:{self.train_share}"),
        )
        self.cameras()
        for own, ours in named("split_names", self.split_names).items():
            allowed = "train, query or gallery behind each ="
            require(ours in ("train", "query", "gallery"), "A split has another name.", got=f"{own}={ours}",
                    allowed=allowed, fix=option(split_names="training=train"))  # fmt: skip
        if self.split_by is not None:
            way, _, value = self.split_by.partition(":")
            fits = {"share": _is_share(value), "people": bool(ranges(value)), "list": bool(value)}
            fits["queries"] = value == ""
            require(fits.get(way, False), f"{option('split_by')} is not known.", got=self.split_by,
                    allowed=WAYS, fix=option(split_by="share:0.5"))  # fmt: skip

    @property
    def split(self) -> str | None:
        """`split_by`, or what the share means."""
        return self.split_by if self.train_share is None else f"share:{self.train_share}"

    def cameras(self) -> dict[str, int]:
        """The number of each own camera name; empty where they keep their own.

        Raises:
            ConfigError: A name is there twice, or what it becomes is not a number above 0.
        """
        found = named("camera_map", self.camera_map)
        for name, number in found.items():
            fits = number.isdecimal() and 0 < int(number) < 10**6
            require(fits, f"{option('camera_map')} gives a camera no number.", got=f"{name}={number}",
                    allowed="1, 2 and so on behind each =", fix=option(camera_map="1,2=1"))  # fmt: skip
        return {name: int(number) for name, number in found.items()}


def named(field: str, texts: Sequence[str]) -> dict[str, str]:
    """`a,b=c` as {a: c, b: c}.

    Raises:
        ConfigError: A text has no =, or a name is there twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        names, equals, value = text.rpartition("=")
        for name in names.split(","):
            require(
                bool(equals and name and value), f"{option(field)} cannot be read.", got=text, allowed="NAMES=VALUE"
            )
            require(name not in found, f"{option(field)} has a name twice.", got=name, allowed="each name once")
            found[name] = value
    return found


def ranges(text: str) -> list[range]:
    """The numbers of `1-500,700`; none for a text that is not of that form."""
    found = [RANGE.fullmatch(part) for part in text.split(",")]
    return [range(int(one[1]), int(one[2] or one[1]) + 1) for one in found if one] if all(found) else []


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False
