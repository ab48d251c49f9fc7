"""The page in headless Chromium: looking, choosing, a person, decisions by keys, two windows, hostile tables."""

import re

import pytest

from reidgen.data.table import ReidTable
from tests.view.browser import chromium, needs_chromium, opened, served
from tests.view.made import answers_of, family, written

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser, tmp_path):
    """Opens the page about some folders; at the end nothing may have gone wrong in it."""
    import contextlib

    with contextlib.ExitStack() as stack:
        windows = []

        def open_page(folders, count=1, **more):
            address = stack.enter_context(served(answers_of(folders, **more)))
            windows.extend(opened(browser, address) for _ in range(count))
            return windows[0] if count == 1 else windows

        yield open_page
        complaints = [one for window in windows for one in window.complaints]
        for window in windows:
            window.close()
        assert complaints == []


def rows(window):
    """The numbers of the crops in the document, in their places."""
    return [int(cell.get_attribute("data-row")) for cell in window.query_selector_all("#grid .cell")]


def count(window):
    return window.inner_text("#count")


def facet(window, title, label):
    """The box of a choice at the side, and the number beside it."""
    found = window.locator(f"#side h3:text-is('{title}') + .facet label", has_text=re.compile(rf"^{label}")).first
    return found.locator("input"), found.locator("b")


def test_crops_are_chosen_by_person_camera_split_and_order(page, tmp_path):
    written(
        tmp_path / "table",
        [1, 1, 2, 2, 3, 3],
        splits=["train"] * 4 + ["query", "gallery"],
        score_ssim=[0.6, 0.5, 0.4, None, 0.2, 0.1],
    )
    window = page([tmp_path / "table"])
    window.wait_for_selector(".cell img")
    assert count(window) == "6 of 6 crops" and rows(window) == [0, 1, 2, 3, 4, 5]
    box, number = facet(window, "Split", "train")
    assert number.inner_text() == "4"
    box.check()
    assert count(window) == "4 of 6 crops"
    facet(window, "Camera", "2")[0].check()
    assert rows(window) == [1, 3]
    assert facet(window, "Camera", "1")[1].inner_text() == "2", "counts are beside the other choices"
    box.uncheck()
    window.fill("#person", "3")
    assert rows(window) == [5]
    window.fill("#person", "")
    facet(window, "Camera", "2")[0].uncheck()
    window.select_option("#order", "score_ssim")
    assert rows(window) == [5, 4, 2, 1, 0, 3], "ascending, those without a score last"


def test_people_with_large_numbers(page, tmp_path):
    written(tmp_path / "table", [10**12, 2, 3])
    window = page([tmp_path / "table"])
    window.wait_for_selector(".cell img")
    window.fill("#person", str(10**12))
    assert rows(window) == [0] and "1000000000000" in window.inner_text(".cell")


def test_of_thousands_only_what_is_seen_is_in_the_document(page, tmp_path):
    table = written(tmp_path / "table", list(range(1, 41)))
    many = ReidTable.concat([table] * 100)  # 4,000 rows of 40 files
    many.write_metadata(tmp_path / "table")
    window = page([tmp_path / "table"])
    window.wait_for_selector(".cell img")
    assert count(window) == "4,000 of 4,000 crops" and len(rows(window)) < 300
    window.evaluate("document.getElementById('grid').scrollTop = 1e9")
    window.wait_for_selector(".cell[data-row='3999'] img")
    assert len(rows(window)) < 300
    window.click("#grid .cell[data-row='3990']")
    window.keyboard.press("Home")
    window.wait_for_selector(".cell.chosen[data-row='0'] img")
    window.keyboard.press("End")
    window.wait_for_selector(".cell.chosen[data-row='3999'] img")


def test_a_person_beside_the_grid(page, tmp_path):
    window = page(family(tmp_path))
    window.click(".cell[data-row='4']")
    window.keyboard.press("Enter")
    window.wait_for_selector("#panel h2")
    assert [head.inner_text() for head in window.query_selector_all("#panel h3")] == [
        "Made from (1)",
        "As recorded or rendered (2)",
        "Generated (1)",
        "As other cameras would show it (1)",
        "From other sides (2)",
    ]
    assert "as camera 2 would show it" in window.inner_text("#panel .one")
    window.click("#panel .small[data-row='6']")
    window.wait_for_selector("#panel .one:has-text('turned to 90 degrees')")
    assert window.get_attribute(".cell.chosen", "data-row") == "6", "the grid goes along"
    window.click("#panel summary:has-text('program')")
    assert "rg.regenerate(table, 2" in window.inner_text("#panel pre")
    window.keyboard.press("ArrowRight")
    window.wait_for_selector("#panel .one:has-text('stylegan3-r')")
    window.keyboard.press("Escape")
    assert window.is_hidden("#panel")


def test_decisions_by_keys(page, tmp_path):
    written(tmp_path / "table", [1, 1, 2, 2, 3])
    window = page([tmp_path / "table"], out=tmp_path / "out")
    window.wait_for_selector(".cell img")
    window.keyboard.press("ArrowRight")
    for key, text in (("r", "reject"), ("w", "wrong"), ("k", "keep")):
        window.keyboard.press(key)
        window.wait_for_selector(f".cell .mark:text-is('{text}')")
    assert window.get_attribute(".cell.chosen", "data-row") == "3", "each decision goes on to the next crop"
    assert facet(window, "Review", "reject")[1].inner_text() == "1"
    window.keyboard.press("z")
    window.wait_for_selector(".cell .mark:text-is('keep')", state="detached")
    window.keyboard.press("m")
    assert "Person 2 and who else?" in window.inner_text("#keys")
    window.keyboard.press("ArrowRight")
    window.keyboard.press("m")
    window.wait_for_selector(".cell[data-row='4'] .mark:text-is('= 2')")
    window.keyboard.press("s")
    window.wait_for_selector("#toast:has-text('Written')")
    table = ReidTable.read(tmp_path / "out")
    assert table.rows["verdict"].to_list() == ["reject", "wrong person", None, None, None]
    assert table.pids.tolist() == [1, 1, 2, 2, 2]


def test_two_windows_do_not_lose_each_others_decisions(page, tmp_path):
    written(tmp_path / "table", [1, 1, 2])
    first, second = page([tmp_path / "table"], 2, out=tmp_path / "out")
    for window in (first, second):
        window.wait_for_selector(".cell img")
    second.evaluate("setInterval = () => 0; Object.defineProperty(document, 'hidden', {value: true})")  # it looks away
    first.click(".cell[data-row='1']")
    first.keyboard.press("r")
    first.wait_for_selector(".cell[data-row='1'] .mark:text-is('reject')")
    second.click(".cell[data-row='1']")
    second.keyboard.press("k")
    second.wait_for_selector("#toast:has-text('anna has decided on this since: reject')")
    second.wait_for_selector(".cell[data-row='1'] .mark:text-is('reject')")
    second.complaints.clear()  # the browser tells of the answer 409
    second.keyboard.press("k")
    for window in (second, first):  # the other one looks by itself
        window.wait_for_selector(".cell[data-row='1'] .mark:text-is('keep')")


def test_a_table_that_changes_under_the_page_is_told(page, tmp_path):
    written(tmp_path / "table", [1, 1, 2])
    window = page([tmp_path / "table"], out=tmp_path / "out")
    window.wait_for_selector(".cell img")
    written(tmp_path / "table", [5, 6])
    window.keyboard.press("ArrowRight")
    window.keyboard.press("r")
    window.wait_for_selector("#toast:has-text('has changed since this page was opened')")
    window.complaints.clear()
    assert not (tmp_path / "out" / "decisions.jsonl").exists()


def test_a_hostile_table_does_nothing(page, tmp_path):
    """Markup and scripts in every text of a table are texts on the page."""
    evil = "<img src=x onerror='window.evil=1'><script>window.evil=1</script>"
    folder = tmp_path / "<b onmouseover=alert(1)>"
    table = written(
        folder, [1, 2], mix=[evil] * 2, rejected_by=[evil] * 2, score_ssim=[0.1, 0.2], **{f"score_{evil}": [0.3, 0.4]}
    )
    name = f"bounding_box_train/{evil.replace('/', '.')}.jpg"
    table.paths[0].rename(folder / name)
    rows_ = [
        {**row, "file_name": name if at == 0 else row["file_name"], "parent": name, "operation": evil}
        for at, row in enumerate(table.rows.drop("root").to_dicts())
    ]
    ReidTable.from_rows(rows_, root=folder).write_metadata(folder)
    written(tmp_path / "other", [1])
    window = page([folder, tmp_path / "other"], out=tmp_path / "out")
    window.wait_for_selector(".cell[data-row='0'] img")
    window.click(".cell[data-row='1']")
    window.keyboard.press("Enter")
    window.wait_for_selector("#panel h2")
    window.click("#panel summary:has-text('All that')")
    assert evil in window.inner_text("#panel") and evil in window.inner_text("#side")
    window.keyboard.press("r")
    window.wait_for_selector(".mark")
    assert window.evaluate("window.evil") is None
    assert window.query_selector("#side img, #panel dd img, #panel b, #side script") is None


def test_a_server_that_has_gone_is_told(browser, tmp_path):
    written(tmp_path / "table", [1, 1])
    with served(answers_of([tmp_path / "table"], out=tmp_path / "out")) as address:
        window = opened(browser, address)
        window.wait_for_selector(".cell img")
    window.keyboard.press("ArrowRight")
    window.keyboard.press("r")
    window.wait_for_selector("#toast:has-text('The server does not answer')")
    window.close()
