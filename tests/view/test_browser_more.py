"""The page in headless Chromium: sliders over scores, search, and curves that move."""

import numpy as np
import pytest

from reidgen.config import ReportConfig
from reidgen.engine import RunFolder
from tests.view.browser import chromium, needs_chromium, opened, served
from tests.view.made import answers_of, written
from tests.view.test_ranked import answers

pytestmark = [needs_chromium, pytest.mark.slow]
__all__ = ["answers"]  # the fixture with two small networks


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def test_sliders_count_what_a_threshold_keeps(browser, tmp_path):
    scores = np.float32(np.linspace(0.05, 0.95, 19))
    origin = ["generated"] * 13 + ["real"] * 6
    rejected = [
        "ssim" if score < 0.3 and kind == "generated" else None for score, kind in zip(scores, origin, strict=True)
    ]
    written(tmp_path / "table", list(range(1, 20)), origin=origin, score_ssim=scores.tolist(), rejected_by=rejected)
    with served(answers_of([tmp_path / "table"])) as address:
        window = opened(browser, address)
        window.wait_for_selector(".cell img")
        exact = window.locator("input[aria-label='Exact threshold of ssim']")
        assert float(exact.input_value()) == 0.3, "it begins where the filter has cut"
        for threshold in (0.3, 0.52, 0.0, 1.0, 0.71):
            exact.fill(str(threshold))
            exact.press("Enter")
            for kind, title in (("generated", "generated"), ("real", "others")):
                own = [score for score, one in zip(scores, origin, strict=True) if one == kind]
                below = sum(score < np.float32(threshold) for score in own)
                told = window.inner_text(f".told .{title} + td").replace("\n", " ")
                assert told == str(len(own) - below), (threshold, kind)
                assert window.inner_text(f".told .{title} + td + td").startswith(f"{below} ("), (threshold, kind)
        assert window.inner_text("#side code") == "--ssim-threshold 0.71"
        window.select_option("select[aria-label='Crops by ssim']", "rejected")
        assert window.inner_text("#count") == f"{sum(scores < np.float32(0.71))} of 19 crops"
        window.locator("input[aria-label='Threshold of ssim']").fill("0")
        assert window.inner_text("#count") == "0 of 19 crops", "the grid goes along with the slider"
        assert window.complaints == []
        window.close()


def test_search_by_a_crop_by_a_picture_and_by_two_networks(browser, answers):
    with served(answers) as address:
        window = opened(browser, address)
        window.wait_for_selector(".cell img")
        window.click(".cell[data-row='0']")
        window.keyboard.press("f")
        window.wait_for_selector(".list:nth-child(2) .small img")
        for index, ranker in enumerate(answers.rankers):
            cells = window.query_selector_all(f".list:nth-child({index + 1}) .small")
            assert [int(cell.get_attribute("data-row")) for cell in cells] == ranker.ranked(0, 10)[0]
            edges = {int(cell.get_attribute("data-row")): cell.get_attribute("class") for cell in cells}
            assert "right" in edges[2] and "right" in edges[3] and "wrong" in edges[1]
        window.check("text=same camera")
        assert window.query_selector(".list .small[data-row='2']") is None
        assert window.query_selector(".list .small[data-row='3']") is not None
        window.check("text=where the network looks")
        window.wait_for_selector(".list:nth-child(1) .map >> nth=4")
        window.set_input_files("#search input[type=file]", answers.shown.path(4))
        window.wait_for_selector("h2:has-text('Like this picture')")
        window.wait_for_selector(".list:nth-child(1) .small[data-row='4']")
        window.click(".list:nth-child(1) .small[data-row='4']")
        window.wait_for_selector("#panel h2:has-text('Person 2')")
        assert window.complaints == []
        window.close()


def test_without_a_network_the_page_says_how(browser, tmp_path):
    written(tmp_path / "table", [1, 1])
    with served(answers_of([tmp_path / "table"])) as address:
        window = opened(browser, address)
        window.wait_for_selector(".cell img")
        window.keyboard.press("ArrowRight")
        window.keyboard.press("f")
        window.wait_for_selector("#toast:has-text('--model RUN')")
        window.close()


def test_curves_move_while_a_training_runs(browser, tmp_path):
    run = RunFolder.begin(tmp_path / "run", stage="train-reid", config=ReportConfig())
    for step in range(1, 4):
        run.metrics.write(step=step, loss=1 / step, lr=0.1)
    with served(answers_of([tmp_path / "run"])) as address:
        window = opened(browser, address)
        window.wait_for_selector(".chart[data-figure='loss'] polyline")
        points = window.get_attribute("polyline", "points").split()
        assert len(points) == 3 and len(window.query_selector_all(".chart")) == 1
        ys = [float(point.split(",")[1]) for point in points]
        assert ys == sorted(ys), "a loss that falls goes down"
        run.metrics.write(step=4, loss=0.1, fid=30.0)
        window.wait_for_selector(".chart[data-figure='fid'] circle")
        assert len(window.get_attribute(".chart[data-figure='loss'] polyline", "points").split()) == 4
        run.finish({})
        window.wait_for_selector(".run:has-text('done')")
        assert window.complaints == []
        window.close()
