"""Decoded crops of tables that no run needs any more: a sweep has many tables, each as large as the real one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from reidgen.engine.cache import cache_folder
from reidgen.sweep.launching.launch import Ended
from reidgen.sweep.plan import Job


class Decoded:
    """Frees the cache of this machine of extended tables, and parts of the real one, once all their runs have ended.

    The real table alone stays, as others may use it too.

    Args:
        jobs: All runs of the sweep.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._left: dict[object, list[str]] = defaultdict(list)
        for job in jobs:
            if job.takes_generated or job.share < 1:
                drawn = job.seed if job.share < 1 else None
                self._left[(job.share, drawn, job.extend, job.extend and job.generated)].append(job.name)

    def free(self, results: Mapping[str, Ended]) -> None:
        """Delete what only runs that have ended have used."""
        for key, names in list(self._left.items()):
            if all(name in results for name in names):
                del self._left[key]
                found = [results[name].found for name in names]
                for digest in {one["train_hash"] for one in found if one is not None}:
                    for path in cache_folder().glob(f"{digest[:32]}-*.npy"):
                        path.unlink(missing_ok=True)
