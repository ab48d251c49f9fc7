import pytest

from reidgen.models import resnet


@pytest.fixture(scope="module")
def narrow():
    """Residual networks of 8 channels instead of 64 to 512: a step costs milliseconds, a checkpoint kilobytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))
        yield
