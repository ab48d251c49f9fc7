import numpy as np
import pytest
from PIL import Image

from reidgen.errors import ConfigError
from reidgen.files import write_chunks
from reidgen.generators.pictures.webp import animation, check_size, durations, encode_frame


def pictures(count, *, height=10, width=7):
    """Random pictures of odd and even size, so that files of odd length are among them."""
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), np.uint8)


def written(tmp_path, frames, **options):
    paths = [tmp_path / f"{i}.webp" for i in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        path.write_bytes(encode_frame(frame, **options))
    write_chunks(tmp_path / "all.webp", animation(paths, durations(len(frames), fps=30), size=frames.shape[1:3]))
    return tmp_path / "all.webp"


@pytest.mark.parametrize("size", [{}, {"height": 64, "width": 32}])
def test_lossless_frames_come_back_as_they_were(tmp_path, size):
    frames = pictures(5, **size)
    with Image.open(written(tmp_path, frames, compression="lossless", quality=0)) as video:
        assert (video.format, video.n_frames, video.info["loop"]) == ("WEBP", 5, 0)
        shown = []
        for i, frame in enumerate(frames):
            video.seek(i)
            assert np.array_equal(np.asarray(video.convert("RGB")), frame)
            shown.append(video.info["duration"])
        assert shown == [33, 34, 33, 33, 34]


def test_lossy_frames_are_those_of_the_still_files(tmp_path):
    frames = np.repeat(pictures(3, height=4, width=4).repeat(8, axis=1).repeat(8, axis=2), 1, axis=0)
    with Image.open(written(tmp_path, frames, compression="lossy", quality=90)) as video:
        for i in range(3):
            video.seek(i)
            with Image.open(tmp_path / f"{i}.webp") as still:
                assert np.array_equal(np.asarray(video.convert("RGB")), np.asarray(still.convert("RGB")))


def test_the_header_says_how_long_the_file_is(tmp_path):
    path = written(tmp_path, pictures(4), compression="lossy", quality=50)
    content = path.read_bytes()
    assert int.from_bytes(content[4:8], "little") == len(content) - 8


def test_durations_add_up():
    assert durations(3, fps=24) == [42, 41, 42]
    assert sum(durations(240, fps=23.976)) == round(1000 * 240 / 23.976)
    assert durations(3, fps=1000) == [1, 1, 1]


def test_too_large_for_webp():
    check_size((16383, 1))
    with pytest.raises(ConfigError, match="too large for WebP"):
        check_size((2, 16384))
