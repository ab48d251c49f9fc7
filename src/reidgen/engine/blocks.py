"""Scoring block by block, each kept on disk as it is made, so that a killed run goes on where it stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reidgen.engine.checkpoint import load_state, save_state
from reidgen.engine.progress import progress
from reidgen.errors import RunError, command

BLOCK = 64


@dataclass(frozen=True)
class ScoreFolder:
    """Where the blocks of scores lie while a run makes them, one file each.

    Attributes:
        path: The folder.
        run: The `identity` of the run.
    """

    path: Path
    run: str = ""

    def below(self, name: str) -> "ScoreFolder":
        """The folder for one part of the scores."""
        return ScoreFolder(self.path / name, self.run)

    def read(self, block: int, count: int) -> np.ndarray | None:
        """The scores of a block, None where it was not scored yet.

        Raises:
            RunError: The file is damaged, of another run, or has another number of scores.
        """
        file = self._file(block)
        if not file.is_file():
            return None
        scores = load_state(file, run=self.run)["scores"].numpy()
        if len(scores) != count:
            raise RunError(
                f"{file} is damaged.", got=f"{len(scores)} scores", allowed=f"{count}", fix=command("rm", file)
            )
        return scores

    def write(self, block: int, scores: np.ndarray) -> None:
        """Keep the scores of a block."""
        save_state(self._file(block), {"scores": torch.from_numpy(scores)}, run=self.run)

    def _file(self, block: int) -> Path:
        return self.path / f"{block:06d}.safetensors"


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
        score: Given a slice of them, float64 scores of each, (count of the slice,) or (count of the slice, K).
        kept: Where finished blocks are; None keeps none.
        block: How many are asked for at once.

    Returns:
        float64 (count,) or (count, K).
    """
    scores: list[np.ndarray] = []
    parts = [slice(start, min(start + block, count)) for start in range(0, count, block)]
    known = [None if kept is None else kept.read(i, p.stop - p.start) for i, p in enumerate(parts)]
    done = sum(p.stop - p.start for p, k in zip(parts, known, strict=True) if k is not None)
    with progress(label, count, start=done) as bar:
        for number, (part, earlier) in enumerate(zip(parts, known, strict=True)):
            if earlier is not None:
                scores.append(earlier)
                continue
            scores.append(score(part))
            if kept is not None:
                kept.write(number, scores[-1])
            bar.advance(part.stop - part.start)
    return np.concatenate(scores) if scores else np.empty(0)
