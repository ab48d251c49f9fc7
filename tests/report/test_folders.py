import pytest

from reidgen.config import GridConfig
from reidgen.engine import RunFolder
from reidgen.errors import RunError
from reidgen.report.folders import Run


@pytest.mark.parametrize("stage", ["generate grid", "generate video"])
def test_pictures_for_people_are_no_generated_crops(stage, tmp_path):
    RunFolder.begin(tmp_path, stage=stage, config=GridConfig()).finish({})
    with pytest.raises(RunError) as error:
        Run.read(tmp_path)
    assert error.value.got == stage
    assert "generate people" in str(error.value)
