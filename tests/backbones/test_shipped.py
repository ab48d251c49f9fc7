"""The shipped re-ID network: small, opened like any other, and better than chance on people it has not seen."""

import pytest
import torch

from reidgen.backbones.reid_model import build_network, load_reid
from reidgen.backbones.weights import SHIPPED_REID, load_backbone
from reidgen.config import EvaluateConfig, ReidConfig
from reidgen.data.readers.load import SAMPLE
from reidgen.data.table import ReidTable
from reidgen.evaluate import evaluate_reid


def test_it_is_at_most_six_megabytes_and_says_what_it_learned_from():
    model = load_reid(SHIPPED_REID, device="cpu")
    assert SHIPPED_REID.stat().st_size <= 6e6
    assert (model.config.backbone, model.config.base_width, model.config.size) == ("resnet18_ibn", 32, (128, 64))
    assert model.facts["people"] == 600 and model.facts["images"] == len(model.learned["others"]) == 12_000


def test_it_is_a_start():
    config = ReidConfig(backbone="resnet18_ibn", base_width=32, weights=str(SHIPPED_REID), size=(64, 32))
    network = build_network(config, 3)
    assert load_backbone(network.backbone, config).startswith("The backbone starts from reid.safetensors: ")
    assert torch.equal(
        network.backbone.conv1.weight, load_reid(SHIPPED_REID, device="cpu").network.backbone.conv1.weight
    )


@pytest.mark.slow
def test_it_finds_rendered_people_whom_it_has_not_seen(tmp_path):
    """88.8 % as measured, from which rounding does not take points."""
    model, people = load_reid(SHIPPED_REID, device="cpu"), ReidTable.read(SAMPLE)
    found = evaluate_reid(model, people, EvaluateConfig(device="cpu"), out=tmp_path / "result")
    assert found.mAP > 0.85
