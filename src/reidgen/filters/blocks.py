"""Scoring block by block, each kept on disk as it is made, so that a killed run goes on where it stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reidgen.engine.progress import progress
from reidgen.errors import RunError, command
from reidgen.files import write_bytes

BLOCK = 64


@dataclass(frozen=True)
class ScoreFolder:
    """Where the blocks of one filter's scores lie while it runs, one file of little-endian float64 each."""

    path: Path

    def read(self, block: int, count: int) -> np.ndarray | None:
        """The scores of a block, None where it was not scored yet.

        Raises:
            RunError: The file has another number of scores.
        """
        file = self._file(block)
        if not file.is_file():
            return None
        scores = np.frombuffer(file.read_bytes(), "<f8")
        if len(scores) != count:
            raise RunError(
                f"{file} is damaged.", got=f"{len(scores)} scores", allowed=f"{count}", fix=command("rm", file)
            )
        return scores

    def write(self, block: int, scores: np.ndarray) -> None:
        """Keep the scores of a block."""
        write_bytes(self._file(block), scores.astype("<f8").tobytes())

    def _file(self, block: int) -> Path:
        return self.path / f"{block:06d}.f64"


def in_blocks(
    label: str,
    count: int,
    score: Callable[[slice], np.ndarray],
    *,
    kept: ScoreFolder | None = None,
    block: int = BLOCK,
) -> np.ndarray:
    """Scores of `count` things, asked for in blocks that are always the same, with a progress bar.

    Args:
        label: What the bar says.
        count: How many there are.
        score: Given a slice of them, float64 scores of each.
        kept: Where finished blocks are; None keeps none.
        block: How many are asked for at once.

    Returns:
        float64 (count,).
    """
    scores = np.empty(count)
    parts = [slice(start, min(start + block, count)) for start in range(0, count, block)]
    known = [None if kept is None else kept.read(i, p.stop - p.start) for i, p in enumerate(parts)]
    done = sum(p.stop - p.start for p, k in zip(parts, known, strict=True) if k is not None)
    with progress(label, count, start=done) as bar:
        for number, (part, earlier) in enumerate(zip(parts, known, strict=True)):
            if earlier is not None:
                scores[part] = earlier
                continue
            scores[part] = score(part)
            if kept is not None:
                kept.write(number, scores[part])
            bar.advance(part.stop - part.start)
    return scores
