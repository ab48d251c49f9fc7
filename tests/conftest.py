import pytest
from hypothesis import settings

# the same examples in each run, and no clock: a busy machine is not a failure
settings.register_profile("reidgen", deadline=None, derandomize=True, database=None)
settings.load_profile("reidgen")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory):
    """Decoded crops of tests, and of fixtures of any scope, never land in the cache of the person who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDGEN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(autouse=True)
def _tensorboard_is_asked_for_anew(monkeypatch):
    """`--tensorboard` is an environment variable for worker processes: no test leaves it to the next."""
    monkeypatch.setenv("REIDGEN_TENSORBOARD", "0")


def pytest_collection_modifyitems(items):
    """Tests marked gpu are skipped, and said to be, where there is no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
