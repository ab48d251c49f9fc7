import numpy as np
from PIL import Image

from reidgen.reid.ranking.ranked_sheet import BORDER, GAP, GREEN, GREY, RED, Cell, overlay, ranked_sheet


def crop(colour=(10, 20, 30), size=(20, 40)):
    return Image.new("RGB", size, colour)


def colours(sheet):
    return {tuple(colour) for colour in sheet.reshape(-1, 3).tolist()}


def test_borders_tell_right_from_wrong_and_from_unknown():
    query = Cell(crop(), "")
    for correct, edge, others in ((True, GREEN, (RED, GREY)), (False, RED, (GREEN, GREY)), (None, GREY, (GREEN, RED))):
        seen = colours(ranked_sheet([(query, [Cell(crop(), "", correct)])], height=40))
        assert edge in seen and not seen & set(others)


def test_crops_stand_where_they_should():
    row = (Cell(crop((1, 2, 3)), ""), [Cell(crop((40, 50, 60)), "", True), Cell(crop((70, 80, 90)), "", False)])
    sheet = ranked_sheet([row, row], height=80)
    y, x = GAP + BORDER, GAP + BORDER
    assert sheet[y, x].tolist() == [1, 2, 3] and sheet[y + 79, x + 39].tolist() == [1, 2, 3]  # 20x40 at twice the size
    first = np.argwhere((sheet == [40, 50, 60]).all(axis=2))
    second = np.argwhere((sheet == [70, 80, 90]).all(axis=2))
    assert len(first) == len(second) == 2 * 80 * 40
    assert first[:, 1].max() < second[:, 1].min() and first[:, 1].min() > x + 39


def test_a_crop_wider_than_high_stays_in_its_cell():
    sheet = ranked_sheet([(Cell(crop(), ""), [Cell(crop((9, 9, 9), (300, 30)), "", True)])], height=50)
    found = np.argwhere((sheet == 9).all(axis=2))
    assert np.ptp(found[:, 1]) + 1 == 50 and np.ptp(found[:, 0]) + 1 == 5


def test_a_map_is_bright_where_it_is_high():
    values = np.zeros((4, 2))
    values[3] = 5
    shown = np.asarray(overlay(crop((128, 128, 128)), values, height=40)).astype(int).sum(axis=2)
    assert shown[-3:].mean() > shown[:3].mean() + 150
    flat = np.asarray(overlay(crop(), np.ones((4, 2)), height=40))
    assert (flat == flat[0, 0]).all()
