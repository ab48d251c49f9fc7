import pytest

from reidgen.config import UnsupervisedConfig
from reidgen.engine import RunFolder
from reidgen.report.page import write_report


def unsupervised_run(folder, *, looks=(), labels=True, **facts):
    run = RunFolder.begin(folder, stage="train-unsupervised", config=UnsupervisedConfig(epochs=3), inputs={})
    for epoch in range(1, 4):
        known = {"people": 9, "purity": 0.5 + epoch / 10, "nmi": 0.7} if labels else {}
        look = {"test_mAP": 0.1 * epoch} if epoch in looks else {}
        run.metrics.write(
            epoch=epoch, step=epoch * 4, lr=1e-3, clusters=5 + epoch, outliers=10 - epoch, **known, **look
        )
    run.finish({"epochs": 3, "steps": 12, **facts})
    return folder


def drawn(page, name):
    return f"clusters0-{name}" in page


@pytest.mark.parametrize("labels", [True, False])
def test_what_is_known_of_the_clusters_is_drawn(labels, tmp_path):
    run = unsupervised_run(tmp_path / "blind", labels=labels, looks=(2, 3))
    page = write_report(runs=[run], out=tmp_path / "page").read_text()
    assert "Learned without labels" in page and "blind: pplr" in page
    assert drawn(page, "count") and drawn(page, "outliers") and drawn(page, "test_mAP")
    assert drawn(page, "purity") == drawn(page, "nmi") == labels
    assert not drawn(page, "stability")


def test_a_collapse_is_told(tmp_path):
    run = unsupervised_run(tmp_path / "blind", collapsed="after epoch 2: one cluster, and 0 outliers")
    page = write_report(runs=[run], out=tmp_path / "page").read_text()
    assert "The clusters collapsed after epoch 2: one cluster" in page
