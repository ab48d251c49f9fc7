"""20,000 crops open in seconds, and a page of 200 comes in a fraction of one; measured figures are in docs/log.md."""

import itertools
import time

import numpy as np
import polars as pl
import pytest

from reidgen.data.readers.load import load_dataset
from reidgen.data.table import ReidTable
from tests.view.browser import chromium, needs_chromium, opened, served
from tests.view.made import answers_of, client_of

CROPS, PAGE = 20_000, 200
OPEN_SEC, PAGE_SEC, FACTOR = 2.0, 0.3, 10  # what is promised, and how much slower a busy machine may be


def many_crops(folder, count=CROPS):
    """A table of the shipped crops again and again, each a file of its own."""
    sample = load_dataset("sample")
    contents = [path.read_bytes() for path in sample.paths]
    (folder / "bounding_box_train").mkdir(parents=True)
    rows = []
    for number, row in zip(range(count), itertools.cycle(range(len(sample)))):
        pid, camid = 1 + number // 12, 1 + number % 6
        name = f"bounding_box_train/{pid:04d}_c{camid}s1_{number:06d}_00.jpg"
        (folder / name).write_bytes(contents[row])
        rows.append({"file_name": name, "pid": pid, "camid": camid, "split": "train", "origin": "rendered"})
    table = ReidTable.from_rows(pl.DataFrame(rows), root=folder)
    table.write_metadata(folder)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of so many crops, with a cache of its own."""
    made = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDGEN_CACHE", str(made / "cache"))
        many_crops(made / "table")
        yield made / "table"


@pytest.mark.slow
@needs_chromium
def test_20_000_crops_open_in_a_browser(folder):
    with chromium() as browser:
        browser.new_page().close()  # the first one starts processes
        began = time.perf_counter()
        with served(answers_of([folder])) as address:
            window = opened(browser, address)
            window.wait_for_selector(".cell img")
            opening = time.perf_counter() - began
            began = time.perf_counter()
            window.evaluate("document.getElementById('grid').scrollTop = 1e9")
            window.wait_for_selector(f".cell[data-row='{CROPS - 1}'] img")
            end = time.perf_counter() - began
            window.close()
    print(f"in a browser: open {opening:.2f} s; to the end {end:.2f} s")
    assert opening < FACTOR * OPEN_SEC
    assert end < FACTOR * OPEN_SEC


@pytest.mark.slow
def test_20_000_crops_open_and_a_page_comes_quickly(folder):
    began = time.perf_counter()
    client = client_of(answers_of([folder]))
    about = client.get("/about").json
    columns = [client.get(f"/column/{name}").data for name in about["columns"]]
    opening = time.perf_counter() - began
    assert about["crops"] == CROPS and all(len(one) == 4 * CROPS for one in columns)
    pages = {}
    for what in ("new", "kept"):
        times = []
        for start in range(5 * PAGE, 10 * PAGE, PAGE):
            began = time.perf_counter()
            data = client.get(f"/thumbnails?rows={','.join(map(str, range(start, start + PAGE)))}").data
            times.append(time.perf_counter() - began)
            assert np.frombuffer(data[: 4 * PAGE], "<u4").all()
        pages[what] = float(np.median(times))
    print(f"open {opening:.2f} s; page of {PAGE}: new {pages['new']:.3f} s, kept {pages['kept']:.3f} s")
    assert opening < FACTOR * OPEN_SEC
    assert max(pages.values()) < FACTOR * PAGE_SEC
