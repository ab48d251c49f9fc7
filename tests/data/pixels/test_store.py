import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from reidgen.data.disk import threads
from reidgen.data.pixels import store
from reidgen.data.pixels.store import CropStore
from reidgen.errors import DataError
from tests.factories import make_table, write_crop


def test_the_array_holds_each_crop_decoded_and_resized_by_pillow(tmp_path):
    table = make_table([1, 1, 2, 3, 5], root=tmp_path, size=(40, 18))
    crops = CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    assert crops.images.dtype == np.uint8
    assert (len(crops), crops.size) == (5, (32, 16))
    for image, path in zip(crops.images, table.paths, strict=True):
        expected = Image.open(path).convert("RGB").resize((16, 32), Image.Resampling.BICUBIC)
        assert np.array_equal(image, np.asarray(expected))


def test_many_chunks_keep_the_order_and_progress_counts_every_crop(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 3)
    monkeypatch.setattr(threads, "AHEAD", 2)
    table = make_table(range(1, 24), root=tmp_path)
    assert list(CropStore.fill(table, size=(32, 16))) == [3] * 7 + [2]
    crops = CropStore.open(table, size=(32, 16))
    assert all(np.array_equal(crops.images[i], Image.open(path)) for i, path in enumerate(table.paths))


def test_a_batch_is_an_index_in_channels_last(tmp_path):
    crops = CropStore.open(make_table([1, 2, 3, 4], root=tmp_path), size=(32, 16))
    for indices in ([2, 0, 2], np.array([2, 0, 2]), torch.tensor([2, 0, 2])):
        batch = crops.batch(indices)
        assert batch.dtype == torch.uint8
        assert batch.is_contiguous(memory_format=torch.channels_last)
        assert np.array_equal(batch.permute(0, 2, 3, 1).numpy(), crops.images[[2, 0, 2]])


def test_an_array_that_is_complete_is_used_again_without_the_files(tmp_path):
    table = make_table([1, 2], root=tmp_path)
    first = CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    before = file.stat().st_mtime_ns
    assert list(CropStore.fill(table, size=(32, 16), cache=tmp_path / "cache")) == []
    again = CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    assert file.stat().st_mtime_ns == before
    assert np.array_equal(again.images, first.images)


def test_another_size_and_changed_pixels_get_arrays_of_their_own(tmp_path):
    table = make_table([1, 2], root=tmp_path)
    small = CropStore.open(table, size=(16, 8), cache=tmp_path / "cache")
    old = CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    write_crop(table.paths[0], seed=99)
    new = CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    assert small.size == (16, 8)
    assert not np.array_equal(new.images[0], old.images[0])
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_writing_to_the_array_changes_no_file(tmp_path):
    table = make_table([1], root=tmp_path)
    crops = CropStore.open(table, size=(32, 16))
    before = crops.images.copy()
    crops.images[:] = 7
    assert np.array_equal(CropStore.open(table, size=(32, 16)).images, before)


def test_a_run_that_stops_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 1)
    filling = CropStore.fill(make_table([1, 2, 3], root=tmp_path), size=(32, 16), cache=tmp_path / "cache")
    assert next(filling) == 1
    filling.close()
    assert list((tmp_path / "cache").iterdir()) == []


KILLED = """
import os, signal
from reidgen.data.pixels import store
from tests.factories import make_table
store.CHUNK = 1
for count in store.CropStore.fill(make_table([1, 2, 3], root={root!r}), size=(32, 16), cache={cache!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_what_a_killed_process_left_is_overwritten(tmp_path):
    cache = tmp_path / "cache"
    done = subprocess.run([sys.executable, "-c", KILLED.format(root=str(tmp_path), cache=str(cache))], check=False)
    assert done.returncode == -9
    assert {path.suffix for path in cache.iterdir()} == {".tmp", ".lock"}
    table = make_table([1, 2, 3], root=tmp_path)
    crops = CropStore.open(table, size=(32, 16), cache=cache)
    assert [path.suffix for path in cache.iterdir()] == [".npy"]
    assert all(np.array_equal(crops.images[i], Image.open(path)) for i, path in enumerate(table.paths))


def test_a_second_process_waits_for_the_first(tmp_path, monkeypatch):
    from threading import Thread

    monkeypatch.setattr(store, "CHUNK", 1)
    table = make_table([1, 2, 3], root=tmp_path)
    first = CropStore.fill(table, size=(32, 16), cache=tmp_path / "cache")
    next(first)
    counts: list[int] = []
    second = Thread(target=lambda: counts.extend(CropStore.fill(table, size=(32, 16), cache=tmp_path / "cache")))
    second.start()
    time.sleep(0.05)
    assert second.is_alive()
    assert list(first) == [1, 1]
    second.join(timeout=10)
    assert not second.is_alive()
    assert counts == []


def test_a_truncated_crop_is_named_with_the_reason(tmp_path):
    table = make_table([1, 2, 3], root=tmp_path)
    bad = table.paths[1]
    bad.write_bytes(bad.read_bytes()[:400])
    with pytest.raises(DataError, match="truncated") as error:
        CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    assert str(bad) in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(("content", "reason"), [(b"", "an empty file"), (b"not a picture", "not an image format")])
def test_files_that_are_no_images_are_named_with_the_reason(tmp_path, content, reason):
    table = make_table([1], root=tmp_path)
    table.paths[0].write_bytes(content)
    with pytest.raises(DataError, match=reason):
        CropStore.open(table, size=(32, 16))


def test_sixteen_bit_images_are_refused_and_other_modes_converted(tmp_path):
    table = make_table([1], root=tmp_path)
    Image.new("I;16", (16, 32)).save(table.paths[0], format="PNG")
    with pytest.raises(DataError, match="image mode I;16"):
        CropStore.open(table, size=(32, 16))
    Image.new("L", (16, 32), 77).save(table.paths[0], format="PNG")
    assert (CropStore.open(table, size=(32, 16)).images == 77).all()


def test_an_empty_table_and_a_damaged_array_are_named(tmp_path):
    table = make_table([1], root=tmp_path)
    with pytest.raises(DataError, match="The table made has no crops"):
        CropStore.open(table.query, size=(32, 16))
    CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    assert np.array_equal(np.load(file), CropStore.open(table, size=(32, 16), cache=tmp_path / "cache").images)
    for damaged in (b"", whole[:300], whole + b"0", b"PK\x03\x04" + whole[4:], whole[:20] + b"(" + whole[21:]):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged") as error:
            CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
        assert f"rm {file}" in str(error.value)


def test_a_flipped_bit_is_told_and_an_array_without_checksum_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 2)
    monkeypatch.setattr(store, "CHECKED_BYTES", 1000)
    table = make_table([1, 2, 3], root=tmp_path)
    images = CropStore.open(table, size=(32, 16), cache=tmp_path / "cache").images.copy()
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    for place in (len(whole) - images.nbytes - 4, len(whole) - 2000, len(whole) - 5, len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match="other pixels than were written"):
            CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    file.write_bytes(whole[:-4])
    assert np.array_equal(CropStore.open(table, size=(32, 16), cache=tmp_path / "cache").images, images)


def test_a_full_disk_is_an_error_and_not_a_crash(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(DataError, match="No space left on device"):
        CropStore.open(make_table([1], root=tmp_path), size=(32, 16), cache=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_says_how_another_is_named(tmp_path):
    (tmp_path / "home").write_text("no folder")
    with pytest.raises(DataError, match=r"cannot be written to .*home/cache\.") as error:
        CropStore.open(make_table([1], root=tmp_path), size=(32, 16), cache=tmp_path / "home" / "cache")
    assert "set REIDGEN_CACHE" in error.value.fix


def test_a_disk_that_is_full_until_the_file_is_closed(tmp_path):
    table, before = make_table([1], root=tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))  # closing tries to write what is left, and fails again
    try:
        with pytest.raises(DataError, match=r"cannot be written to .*cache\.\n  got: File too large"):
            CropStore.open(table, size=(32, 16), cache=tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.gpu
def test_on_a_gpu_the_array_is_resident_when_it_fits_and_copied_by_batch_when_not(tmp_path, monkeypatch):
    crops = CropStore.open(make_table([1, 2, 3], root=tmp_path), size=(32, 16))
    on_gpu = crops.to("cuda")
    assert on_gpu.resident is not None
    monkeypatch.setattr(store, "DEVICE_SHARE", 0.0)
    by_batch = crops.to("cuda")
    assert by_batch.resident is None
    for moved in (on_gpu, by_batch):
        assert torch.equal(moved.batch([2, 0]).cpu(), crops.batch([2, 0]))
        assert moved.batch([2, 0]).device.type == "cuda"


def test_a_cache_folder_that_cannot_be_made_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file where a folder should be")
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "home" / "cache"))
    with pytest.raises(DataError, match=r"crops cannot be written to .*home/cache\.(.|\n)*set REIDGEN_CACHE"):
        CropStore.open(make_table([1], root=tmp_path), size=(32, 16))
