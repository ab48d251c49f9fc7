import pytest


@pytest.fixture(scope="session")
def who():
    """The skeleton that is fitted."""
    pytest.importorskip("anny", reason="the extra `render` is not installed")
    from reidgen.annotate.bodies.skeleton import skeleton

    return skeleton()
