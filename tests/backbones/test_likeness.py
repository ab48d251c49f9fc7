import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reidgen.backbones.reid_model import build_network, load_reid, save_reid
from reidgen.backbones.weights import TRAINED
from reidgen.config import ENCODER_PRESETS, EncoderConfig, LikenessConfig, ReidConfig, as_dict
from reidgen.data.augment import normalise
from reidgen.errors import ConfigError, WeightsError
from reidgen.generators.inversion.likeness import as_images, imagenet, load_likeness, weighted
from reidgen.losses.images.perceptual import feature_distance
from reidgen.models import resnet
from tests.factories import crop_pixels

PIXELS = np.stack([crop_pixels((32, 16), seed=seed) for seed in range(4)])
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setattr(resnet, "WIDTHS", (8, 8, 8, 8))


@pytest.fixture
def networks(tmp_path):
    """A config with a perceptual network in a file, and the folder of a re-ID network."""
    network = resnet.ResNet("resnet18")
    network.initialise(torch.Generator().manual_seed(0))
    save_file(network.state_dict(), tmp_path / "features.safetensors")
    config = ReidConfig(backbone="resnet18", weights="random", size=(16, 8), bottleneck=8)
    reid = build_network(config, people=2)
    reid.initialise(torch.Generator().manual_seed(0))
    (tmp_path / "reid").mkdir()
    save_reid(
        tmp_path / "reid" / TRAINED, reid, {"reid": as_dict(config), "pids": [1, 2], "facts": {}, "learned": None}
    )
    weights = str(tmp_path / "features.safetensors")
    return LikenessConfig(perceptual_backbone="resnet18", perceptual_weights=weights), tmp_path / "reid"


def test_mocos_distance_is_the_cosine_of_its_pooled_features(tmp_path):
    network = resnet.ResNet("resnet50")
    network.initialise(torch.Generator().manual_seed(0))
    learned = {f"module.encoder_q.{name}": value for name, value in network.state_dict().items()}
    others = {
        "module.encoder_q.fc.0.weight": torch.ones(2, 2),
        "module.queue": torch.ones(2),
        "module.encoder_k.x": torch.ones(1),
    }
    torch.save({"epoch": 800, "arch": "resnet50", "state_dict": {**learned, **others}}, tmp_path / "moco.pth.tar")
    config = LikenessConfig(
        perceptual_weight=0, reid_weight=0, moco_weight=0.5, moco_weights=str(tmp_path / "moco.pth.tar")
    )
    likeness = load_likeness(config, device="cpu")
    a, b = as_images(PIXELS[:2], CPU), as_images(PIXELS[2:], CPU)
    found = likeness.distances(a, likeness.of(b))
    large = [torch.nn.functional.interpolate(imagenet(x), (224, 224), mode="bicubic", antialias=True) for x in (a, b)]
    features = [network.eval()(x).mean(dim=(2, 3)) for x in large]
    assert torch.allclose(found["moco"], 1 - torch.cosine_similarity(*features), atol=1e-5)
    assert torch.allclose(weighted(found, config), found["l2"] + 0.5 * found["moco"])
    assert list(likeness.facts) == ["moco"] and likeness.names == ("l2", "moco")


def test_mocos_weight_without_its_file_is_told():
    config = LikenessConfig(perceptual_weight=0, reid_weight=0, moco_weight=0.5)
    with pytest.raises(ConfigError, match=r"moco_weight needs a network(.|\n)*moco_weights='FILE', or moco_weight=0"):
        load_likeness(config, device="cpu")


def test_the_thesis_trains_its_encoder_by_table_5_6():
    thesis = ENCODER_PRESETS["thesis"]
    assert (thesis.steps, thesis.test_crops) == (240_000, 732)
    assert thesis.loss_weights == {"l2": 1.0, "perceptual": 0.8, "reid": 0.0, "moco": 0.5}
    assert thesis.perceptual_backbone == "lpips-vgg"
    assert thesis.steps % thesis.snapshot_steps == 220_000 % thesis.snapshot_steps == 0  # the step that was used


def test_distances_are_those_of_the_networks(networks):
    config, reid = networks
    likeness = load_likeness(config, reid=reid, device="cpu")
    a, b = as_images(PIXELS[:2], CPU), as_images(PIXELS[2:], CPU)
    found = likeness.distances(a, likeness.of(b))
    assert found["l2"].tolist() == pytest.approx([float(((x - y) ** 2).mean()) for x, y in zip(a, b, strict=True)])
    stages = [
        likeness.perceptual.stages(normalise(torch.from_numpy(x).permute(0, 3, 1, 2))) for x in (PIXELS[:2], PIXELS[2:])
    ]
    assert torch.allclose(found["perceptual"], feature_distance(*stages), atol=1e-4)
    model = load_reid(reid, device="cpu")
    small = [torch.nn.functional.interpolate(imagenet(x), (16, 8), mode="bicubic", antialias=True) for x in (a, b)]
    cosine = torch.cosine_similarity(*(model.network(x).embedding for x in small))
    assert torch.allclose(found["reid"], 1 - cosine, atol=1e-5)
    assert torch.allclose(weighted(found, config), found["l2"] + 0.8 * found["perceptual"] + 0.5 * found["reid"])
    same = likeness.measure(PIXELS, PIXELS, CPU, batch=3)
    assert all(np.abs(values).max() < 1e-6 and values.shape == (4,) for values in same.values())


def test_gradients_reach_the_image_and_no_network(networks):
    config, reid = networks
    likeness = load_likeness(config, reid=reid, device="cpu")
    image = as_images(PIXELS[:2], CPU).requires_grad_()
    weighted(likeness.distances(image, likeness.of(as_images(PIXELS[2:], CPU))), config).sum().backward()
    assert image.grad is not None and (image.grad != 0).any()
    networks = [likeness.perceptual, likeness.reid.model.network]
    assert all(p.grad is None and not p.requires_grad for network in networks for p in network.parameters())


def test_what_is_not_weighted_is_not_loaded(networks):
    config, reid = networks
    likeness = load_likeness(LikenessConfig(perceptual_weight=0, reid_weight=0), device="cpu")
    assert (likeness.perceptual, likeness.reid, likeness.facts) == (None, None, {})
    known = load_likeness(config, reid=reid, device="cpu").facts
    assert known["perceptual"] == "resnet-perceptual, resnet18"
    assert len(known["perceptual_weights"]) == len(known["reid"]) == 64


def test_what_is_missing_is_told(networks, tmp_path):
    config, _ = networks
    with pytest.raises(ConfigError, match="reid_weight needs a network") as error:
        load_likeness(config, device="cpu")
    assert "try: reid='DIR', or reid_weight=0" in str(error.value)
    with pytest.raises(WeightsError, match="There is no weight file"):
        load_likeness(LikenessConfig(perceptual_weights=str(tmp_path / "no.safetensors"), reid_weight=0))
    with pytest.raises(WeightsError, match="no trained re-ID network"):
        load_likeness(LikenessConfig(perceptual_weight=0), reid=tmp_path)


@pytest.mark.parametrize(
    ("option", "value"),
    [("batch", 1), ("lr", 0), ("passes", 0), ("test_share", 1.0), ("flip", 2), ("reid_weight", -1), ("seed", -1)],
)
def test_values_that_no_training_can_use(option, value):
    with pytest.raises(ConfigError) as error:
        EncoderConfig(**{option: value})
    assert error.value.what.startswith(f"{option} ") and error.value.got == value
