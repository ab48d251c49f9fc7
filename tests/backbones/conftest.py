from tests.reid.conftest import narrow as narrow
