"""The verbs about the machine and not about crops: doctor, cache. Imports no torch before they run."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, arg

from reidgen.errors import ConfigError, option, spelt_out


def doctor() -> Callable[[], None]:
    """Say what is installed, what this machine has, and what would not work; nothing is downloaded or written."""

    def run() -> None:
        from reidgen.doctor import examine

        sys.stdout.write(f"{spelt_out(examine())}\n")

    return run


def cache(
    clear: Annotated[FlagCreatePairsOff[bool], arg(help="Remove what can be computed again, without asking.")] = False,
    weights: Annotated[FlagCreatePairsOff[bool], arg(help="With --clear: remove downloaded weights too.")] = False,
) -> Callable[[], None]:
    """List what reidgen keeps between runs, and remove it."""

    def run() -> None:
        from reidgen.engine import cache as kept

        if weights and not clear:
            what = f"{option('weights')} goes with {option('clear')}."
            raise ConfigError(what, got=f"no {option('clear')}", allowed="both", fix="reidgen cache --clear --weights")
        found = kept.clear(weights=weights) if clear else {k: (len(p), kept.size_of(p)) for k, p in kept.kept().items()}
        lines = [
            f"{kind}: {count:,} {'file' if count == 1 else 'files'}, {size / 1e6:,.1f} MB"
            for kind, (count, size) in found.items()
        ]
        done = "removed from" if clear else "kept in"
        sys.stdout.write(spelt_out("\n".join([f"{done} {kept.cache_folder()}", *lines])) + "\n")

    return run


HERE: dict[str, Callable[..., Any]] = {"doctor": doctor, "cache": cache}
