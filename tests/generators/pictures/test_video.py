import sys

import numpy as np
import pytest
import torch
from PIL import Image

from reidgen.config import GenerateConfig, WalkConfig
from reidgen.errors import ConfigError, MissingExtraError
from reidgen.generators.people.people import plan_crop, render
from reidgen.generators.pictures.interpolation import slerp
from reidgen.generators.pictures.video import frame_pixels, generate_video, plan_walk
from reidgen.generators.sampling import latents

SMALL = {"rows": 1, "columns": 2, "keyframes": 3, "segment_frames": 2, "scale": 1, "device": "cpu"}


def frames(path):
    with Image.open(path) as video:
        out = []
        for i in range(video.n_frames):
            video.seek(i)
            out.append(np.asarray(video.convert("RGB")))
        return np.stack(out)


def crop(gan, person, variant=0, *, layers=(), psi=1.0):
    return render(gan, [plan_crop(gan, GenerateConfig(), layers, person=person, variant=variant)], psi=psi)[0]


def test_a_video_of_people(gan, tmp_path):
    path = generate_video(gan, **SMALL, compression="lossless", psi=1.0, out=tmp_path)
    pixels = frames(path)
    assert pixels.shape == (6, 16, 16, 3)
    # at its first frame each walk is at its first person, as generate people makes it; walks have three people each
    assert np.array_equal(pixels[0], np.concatenate([crop(gan, 1), crop(gan, 4)], axis=1))
    assert len({frame.tobytes() for frame in pixels}) == 6
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", "run.json", "walk.webp"]


def test_the_walk_is_at_each_person_in_turn_and_closes(gan):
    config = WalkConfig(**{**SMALL, "columns": 1}, psi=0.7)
    walk = plan_walk(gan, config, [])
    assert walk.keys.shape == (3, 1, 6, 8)
    pixels = frame_pixels(gan, walk, config, [0, 2, 6])
    assert np.array_equal(pixels[0], crop(gan, 1, psi=0.7))
    assert np.array_equal(pixels[2], pixels[0])
    second = plan_crop(gan, GenerateConfig(), [], person=2, variant=0)
    expected = gan.synthesize(gan.map([second.w], psi=0.7), walk.noise)  # the walk keeps its first person's noise
    assert np.array_equal(pixels[1], expected[0])


def test_a_video_of_variants_goes_back_to_the_person_after_each(gan):
    config = WalkConfig(show="variants", person=2, mix=("coarse", "fine"), path="lerp", psi=1.0, **SMALL)
    layers = [(0, 1, 2), (5,)]
    keys = plan_walk(gan, config, layers).keys
    assert keys.shape == (6, 2, 6, 8)
    assert torch.equal(keys[0], keys[2])
    assert torch.equal(keys[0], keys[4])
    changed = [[i for i in range(6) if not torch.equal(keys[k, 0, i], keys[0, 0, i])] for k in (1, 3, 5)]
    assert changed == [[0, 1, 2], [5], [0, 1, 2]]
    variant = plan_crop(gan, GenerateConfig(), layers, person=3, variant=1)
    assert torch.equal(keys[1, 1, 0], gan.map([variant.donor])[0])


def test_arcs_go_through_z(gan):
    config = WalkConfig(path="slerp", psi=0.8, **SMALL)
    walk = plan_walk(gan, config, [])
    assert walk.keys.shape == (3, 2, 8)
    seeds = [plan_crop(gan, GenerateConfig(), [], person=person, variant=0).w for person in (1, 2)]
    a, b = latents(seeds, 8)
    network = gan.network
    with torch.inference_mode():
        w = network.mapping.truncate(network.mapping(slerp(a[None], b[None], 0.5)), 0.8)
    expected = gan.synthesize(w, walk.noise[:1])[0]
    assert np.abs(frame_pixels(gan, walk, config, [1])[0, :, :8].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["stylegan3-t", "stylegan3-r", "dcgan"])
def test_every_network_walks(kind, untrained, tmp_path):
    pixels = frames(generate_video(untrained[kind], **{**SMALL, "scale": 2}, compression="lossless", out=tmp_path))
    assert pixels.shape == (6, 64, 64, 3)
    assert np.array_equal(pixels[:, ::2, ::2], pixels[:, 1::2, 1::2])


def test_a_stopped_video_is_finished_to_the_same_bytes(gan, tmp_path, monkeypatch):
    whole = generate_video(gan, **SMALL, out=tmp_path / "whole").read_bytes()
    left = [3]

    def stop(path, data):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr("reidgen.generators.pictures.video.write_bytes", stop)
        with pytest.raises(KeyboardInterrupt):
            generate_video(gan, **SMALL, out=tmp_path / "run")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "frames").iterdir()}
    assert len(stamps) == 3
    with monkeypatch.context() as patch:  # and killed again when all frames are there
        patch.setattr(
            "reidgen.generators.pictures.video.write_chunks", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            generate_video(gan, **SMALL, out=tmp_path / "run")
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert generate_video(gan, **SMALL, out=tmp_path / "run").read_bytes() == whole


def test_only_as_many_frames_are_in_memory_as_a_few_passes_make(gan, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "reidgen.generators.pictures.video.frame_pixels",
        lambda _, __, ___, numbers: asked.append(len(numbers)) or np.zeros((len(numbers), 16, 16, 3), np.uint8),
    )
    generate_video(gan, **{**SMALL, "segment_frames": 50}, out=tmp_path)
    assert sum(asked) == 150
    assert max(asked) == 32


def test_an_mp4_has_the_same_frames_and_is_finished_to_the_same_bytes(gan, tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    options = {**SMALL, "scale": 4, "fps": 12.5}
    path = generate_video(gan, **options, format="mp4", quality=100, out=tmp_path / "mp4")
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".lock", "run.json", "walk.mp4"]
    with av.open(path) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, float(stream.average_rate)) == ("h264", "yuv420p", 12.5)
        pixels = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(stream)])
    exact = frames(generate_video(gan, **options, compression="lossless", out=tmp_path / "webp"))
    assert pixels.shape == exact.shape
    grey, exact_grey = (video.astype(float).mean(axis=3) for video in (pixels, exact))  # colours have half the pixels
    assert np.abs(grey - exact_grey).mean() < 4
    assert np.abs(grey[1:] - exact_grey[:-1]).mean() > 8  # so the order is right too
    with monkeypatch.context() as patch:  # killed when all frames are there
        patch.setattr(
            "reidgen.generators.pictures.video.movie", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            generate_video(gan, **options, format="mp4", quality=100, out=tmp_path / "again")
    again = generate_video(gan, **options, format="mp4", quality=100, out=tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()
    small = generate_video(gan, **options, format="mp4", quality=20, out=tmp_path / "small")
    assert small.stat().st_size < path.stat().st_size


def test_an_mp4_needs_the_extra(gan, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError) as error:
        generate_video(gan, **SMALL, format="mp4", out=tmp_path / "run")
    assert error.value.fix == "pip install 'reidgen[video]'"
    assert not (tmp_path / "run").exists()


def test_options_that_do_not_go_together(gan, tmp_path):
    with pytest.raises(ConfigError, match="variants have no place"):
        WalkConfig(path="slerp", show="variants")
    with pytest.raises(ConfigError, match="format='mp4' is lossy"):
        WalkConfig(format="mp4", compression="lossless")
    with pytest.raises(ConfigError, match="mix names no layers"):
        generate_video(gan, **SMALL, show="variants", mix="77", out=tmp_path / "new")
    with pytest.raises(ConfigError, match="too large for WebP"):
        generate_video(gan, **{**SMALL, "rows": 32, "scale": 32}, out=tmp_path / "new")
    for name, value in (
        ("fps", 0),
        ("keyframes", 0),
        ("keyframes", 1501),  # of 24 frames each
        ("scale", 0),
        ("scale", 33),
        ("quality", 101),
        ("weight", 0),
        ("mix", ()),
    ):
        with pytest.raises(ConfigError, match=name):
            WalkConfig(**{name: value})
