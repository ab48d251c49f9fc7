import pytest

from tests.filters.made_features import Vectors


@pytest.fixture
def vectors(monkeypatch):
    """Features by hand in place of a network's; see `made_features.Vectors`."""
    made = Vectors()
    made.model = made.install(monkeypatch)
    return made
