import torch

from reidgen.generators.translation.cycle import History


def crops(*numbers):
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None]


def test_new_ones_until_it_is_full_then_swaps_by_even_chances():
    """Each crop that is shown is the new one or one that was kept, and nothing is lost or doubled."""
    history, drawn = History(5), torch.Generator().manual_seed(0)
    assert torch.equal(history.show(crops(0, 1, 2), drawn), crops(0, 1, 2))
    assert torch.equal(history.show(crops(3, 4), drawn), crops(3, 4))
    swapped = 0
    for new in range(5, 405):
        before = set(history.kept.flatten().tolist())
        shown = history.show(crops(new), drawn).item()
        after = set(history.kept.flatten().tolist())
        assert after | {shown} == before | {float(new)}
        assert len(after) == 5
        swapped += shown != new
    assert abs(swapped - 200) < 6 * 10, "half of 400, within six deviations"


def test_a_crop_that_is_shown_does_not_change_with_the_history():
    history, drawn = History(1), torch.Generator().manual_seed(1)
    history.show(crops(0), drawn)
    shown = [history.show(crops(new), drawn) for new in range(1, 20)]
    values = [one.item() for one in shown]
    for new in range(20, 40):
        history.show(crops(new), drawn)
    assert [one.item() for one in shown] == values


def test_none_is_kept():
    made = crops(1, 2)
    assert History(0).show(made, torch.Generator()) is made


def test_state():
    one, other = History(3), History(3)
    one.show(crops(1, 2), torch.Generator())
    other.load(one.state(), torch.device("cpu"))
    assert torch.equal(other.kept, one.kept)
    other.load(History(3).state(), torch.device("cpu"))
    assert other.kept is None
