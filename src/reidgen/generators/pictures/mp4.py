"""H.264 in MP4 from single frames, by PyAV (extra `video`)."""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from reidgen.data.pixels.images import read_rgb, read_size
from reidgen.errors import importing, option


def load_av() -> Any:
    """The module `av`.

    Raises:
        MissingExtraError: It is not installed.
    """
    with importing("av", extra="video", purpose=option(format="mp4")):
        import av
    return av


def movie(frames: Sequence[Path], *, fps: float, quality: int) -> bytes:
    """An MP4 file of pictures, in the colours that every player shows (4:2:0, BT.601).

    One thread encodes, so that a file does not depend on the number of cores; other versions of the encoder may write
    other bytes.

    Args:
        frames: Picture files of one even height and width; read one at a time.
        fps: Frames a second.
        quality: 0 to 100; libx264's constant rate factor is 51 - 0.36 * quality.
    """
    av = load_av()
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = read_size(frames[0])
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        stream.options = {"crf": str(round(51 - 0.36 * quality)), "threads": "1"}
        for frame in frames:
            pixels = np.asarray(read_rgb(frame))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
