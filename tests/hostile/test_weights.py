"""A few of the damaged weight files; `python -m tests.hostile.weights 0 5000` tries thousands."""

import pytest

from reidgen.models import resnet
from tests.hostile.weights import WIDTHS, Cases, ends_well


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", WIDTHS)
        yield Cases(tmp_path_factory.mktemp("weights"))


@pytest.mark.filterwarnings("ignore")
def test_damaged_weights_are_refused_in_words_or_give_finite_numbers(cases):
    ends = [ends_well(cases.case(seed)) for seed in range(65)]
    assert ends.count("refused") > 40


@pytest.mark.filterwarnings("ignore")
def test_whole_weights_are_opened(cases):
    for path, use in cases.files.values():
        use(path)
