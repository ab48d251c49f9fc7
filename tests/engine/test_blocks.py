import numpy as np
import pytest

from reidgen.engine.blocks import ScoreFolder, in_blocks
from reidgen.errors import RunError


class Scorer:
    """Scores by position, and gives up after a number of blocks."""

    def __init__(self, blocks=99):
        self.asked, self.left = [], blocks

    def __call__(self, part):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.asked.append((part.start, part.stop))
        return np.sqrt(np.arange(part.start, part.stop))


def test_blocks_make_the_whole():
    scorer = Scorer()
    np.testing.assert_array_equal(in_blocks("x", 10, scorer, block=4), np.sqrt(np.arange(10)))
    assert scorer.asked == [(0, 4), (4, 8), (8, 10)]
    assert in_blocks("x", 0, scorer).shape == (0,)


def test_what_was_scored_is_not_scored_again(tmp_path, capfd):
    kept, killed, again = ScoreFolder(tmp_path), Scorer(2), Scorer()
    with pytest.raises(KeyboardInterrupt):
        in_blocks("x", 10, killed, kept=kept, block=4)
    capfd.readouterr()
    scores = in_blocks("x", 10, again, kept=kept, block=4)
    assert "x: 8/10" in capfd.readouterr().err
    assert again.asked == [(8, 10)]
    assert scores.tobytes() == np.sqrt(np.arange(10)).tobytes()


def test_a_file_of_another_length_is_an_error(tmp_path):
    kept = ScoreFolder(tmp_path)
    in_blocks("x", 10, Scorer(), kept=kept, block=4)
    with pytest.raises(RunError, match=r"000002.safetensors is damaged"):
        in_blocks("x", 11, Scorer(), kept=kept, block=4)


def test_a_file_of_another_run_is_an_error(tmp_path):
    in_blocks("x", 10, Scorer(), kept=ScoreFolder(tmp_path, "one"), block=4)
    with pytest.raises(RunError, match=r"000000.safetensors belongs to another run"):
        in_blocks("x", 10, Scorer(), kept=ScoreFolder(tmp_path, "two"), block=4)
