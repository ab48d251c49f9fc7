import pytest

from reidgen.data.provenance.translation import Translation
from reidgen.errors import DataError

CROP, MASK = "0123456789abcdef", "fedcba9876543210"


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (Translation(5, 6, CROP, 7, 95), f"translation 5>6 crop={CROP} noise=7 jpeg=95"),
        (Translation(1, 12, CROP, 7, 90, MASK), f"translation 1>12 crop={CROP} mask={MASK} noise=7 jpeg=90"),
        (
            Translation(1, 2, CROP, 7, 90, MASK, "a b/c:d.jpg", CROP),
            f"translation 1>2 crop={CROP} mask={MASK} pose=a%20b/c%3Ad.jpg:{CROP} noise=7 jpeg=90",
        ),
    ],
)
def test_text_and_back(operation, text):
    assert str(operation) == text
    assert Translation.parse(text) == operation


@pytest.mark.parametrize("text", [None, "", "render", "translation 5>6 crop=12 noise=7 jpeg=95"])
def test_other_texts(text):
    with pytest.raises(DataError, match="another command"):
        Translation.parse(text)
