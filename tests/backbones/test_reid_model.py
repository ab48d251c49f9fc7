import pytest
import torch

from reidgen.backbones.reid_model import build_network, embed, load_reid, save_reid
from reidgen.config import AugmentConfig, ReidConfig, as_dict
from reidgen.data.augment import normalise
from reidgen.data.pixels.store import CropStore
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import save_weights
from reidgen.errors import WeightsError
from tests.factories import make_table

CONFIG = ReidConfig(
    backbone="resnet18", weights="random", size=(32, 16), bottleneck=8, augment=AugmentConfig(erase_area=(0.1, 0.2))
)

pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture(scope="module")
def network(narrow):
    network = build_network(CONFIG, people=4)
    network.initialise(torch.Generator().manual_seed(0))
    return network.eval()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_table([1, 2, 3, 4, 5], root=tmp_path_factory.mktemp("crops"), size=(40, 20))


def test_an_embedding_is_that_of_the_crop_and_of_its_mirror_image(network, table):
    store = CropStore.open(table, size=CONFIG.size)
    images = normalise(store.batch(range(5)))
    with torch.no_grad():
        plain, mirrored = network(images).embedding, network(images.flip(3)).embedding
    torch.testing.assert_close(embed(network, store, flip="none"), plain)
    torch.testing.assert_close(embed(network, store), plain + mirrored)
    assert not torch.allclose(plain, mirrored, atol=1e-3)


def test_the_batch_does_not_matter(network, table):
    store = CropStore.open(table, size=CONFIG.size)
    torch.testing.assert_close(embed(network, store, batch=2), embed(network, store, batch=5), rtol=1e-4, atol=1e-5)


def test_a_written_network_is_read_with_all_that_is_known_of_it(network, table, tmp_path):
    save_reid(
        tmp_path / "reid.safetensors", network, {"reid": as_dict(CONFIG), "pids": [3, 5, 8, 9], "facts": {"steps": 7}}
    )
    for path in (tmp_path, tmp_path / "reid.safetensors"):
        model = load_reid(path, device="cpu")
        assert (model.config, model.pids, model.facts) == (CONFIG, [3, 5, 8, 9], {"steps": 7})
        assert not model.network.training
    store = CropStore.open(table, size=CONFIG.size)
    torch.testing.assert_close(model.embed(table), embed(network, store), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.embed(store), model.embed(table))


def test_a_folder_without_a_network_is_told(tmp_path):
    with pytest.raises(WeightsError) as caught:
        load_reid(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no trained re-ID network.\n"
        "  got: no reid.safetensors\n"
        "  allowed: the out of reidgen train-reid, finished\n"
        "  try: reidgen train-reid --data DIR --out DIR"
    )
    with RunFolder.begin(tmp_path / "gan", stage="train-generator", config=CONFIG) as run:
        run.finish({})
    with pytest.raises(WeightsError) as caught:
        load_reid(tmp_path / "gan")
    assert caught.value.got == "a run of train-generator"


def test_weights_of_another_kind_are_told(tmp_path):
    save_weights(tmp_path / "gan.safetensors", {"w": torch.zeros(1)}, config={"generator": {}})
    with pytest.raises(WeightsError, match=r"gan\.safetensors is not a re-ID network"):
        load_reid(tmp_path / "gan.safetensors")


def test_a_class_count_that_does_not_fit_the_checkpoint_is_told(tmp_path):
    network = build_network(CONFIG, 4)
    description = {"reid": as_dict(CONFIG), "pids": [3, 5, 8], "facts": {}}
    save_reid(tmp_path / "reid.safetensors", network, description)
    with pytest.raises(WeightsError) as caught:
        load_reid(tmp_path, device="cpu")
    assert "does not fit the network that its own config describes" in str(caught.value)
    assert "classifier.weight" in str(caught.value)


def test_a_file_of_version_0_1_reads_as_ide(tmp_path):
    """It has a single share of decay, and none of the fields that recipes brought."""
    since = ("neck", "pooling", "attention", "sampler", "losses", "optimizer", "test_metric", "devices", "norm_batch")
    known = {name: value for name, value in as_dict(CONFIG).items() if name not in since}
    known["decay_at"] = 2 / 3
    description = {"reid": known, "pids": [3, 5], "facts": {}}
    save_reid(tmp_path / "reid.safetensors", build_network(CONFIG, 2), description)
    assert load_reid(tmp_path, device="cpu").config == CONFIG
