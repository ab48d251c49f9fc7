import hashlib
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from reidgen.backbones import clip as module
from reidgen.backbones.clip import clip_file
from reidgen.backbones.opening import build_backbone
from reidgen.backbones.reid_model import load_reid
from reidgen.backbones.weights import load_backbone, weights_hash
from reidgen.config import AugmentConfig, ReidConfig, UnsupervisedConfig
from reidgen.engine.cache import cache_folder
from reidgen.errors import ConfigError, WeightsError
from reidgen.models.reid import clip
from reidgen.reid.train import train_reid
from reidgen.reid.unsupervised.train_unsupervised import train_unsupervised
from tests.factories import make_table, write_crop

KINDS = ["clip-resnet50", "clip-vit-b16"]
TEXT = {
    "token_embedding.weight": torch.ones(3, 4),
    "positional_embedding": torch.ones(7, 4),
    "logit_scale": torch.ones(()),
}


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """One block a stage, and one layer: the files are of the same names, but smaller."""
    monkeypatch.setattr(clip, "BLOCKS", (1, 1, 1, 1))
    monkeypatch.setattr(clip, "LAYERS", 1)


def config(kind, weights, **changes):
    return ReidConfig(backbone=kind, weights=str(weights), **{"size": (32, 32), **changes})


def published(kind):
    """The state of an encoder in half precision, but for its counters."""
    network = build_backbone(config(kind, "random"))
    network.initialise(torch.Generator().manual_seed(1))
    return {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("named", ["visual.", "plain", "torch.save"])
def test_half_precision_files_with_and_without_the_prefix_fill_the_network(kind, named, tmp_path):
    tensors, path = published(kind), tmp_path / "weights.pt"
    if named == "plain":
        save_file(tensors, path)
    else:
        whole = {**{f"visual.{name}": value for name, value in tensors.items()}, **TEXT}
        (torch.save if named == "torch.save" else save_file)(whole, path)
    network = build_backbone(config(kind, path))
    told = load_backbone(network, config(kind, path))
    assert told == f"The backbone starts from weights.pt: {len(tensors)} tensors."
    for name, value in network.state_dict().items():
        assert torch.equal(value, tensors[name].to(value.dtype)), name
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


def test_a_file_of_another_network_says_which_it_is(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({f"visual.{name}": value for name, value in published("clip-vit-b16").items()}, path)
    for kind in ("clip-resnet50", "resnet50"):
        made = config(kind, path)
        with pytest.raises(WeightsError, match=r"does not fit the network(.|\n)*backbone='clip-vit-b16'"):
            load_backbone(build_backbone(made), made)


class Visual(torch.nn.Module):
    def __init__(self, tensors):
        super().__init__()
        self.visual = torch.nn.Module()
        for name, value in tensors.items():
            self.visual.register_buffer(name, value)

    def forward(self, x):
        return x


def archive(path):
    """A TorchScript archive, as OpenAI publishes them."""
    tensors = {"proj": torch.ones(3, 4).half(), "class_embedding": torch.zeros(3).half()}
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(Visual(tensors)), path)
    return tensors


def test_an_archive_of_code_is_not_opened(tmp_path):
    archive(tmp_path / "other.pt")
    made = config("clip-vit-b16", tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="a TorchScript archive, which is code"):
        load_backbone(build_backbone(made), made)


def test_the_published_file_is_downloaded_once_and_only_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDGEN_CACHE", str(tmp_path / "cache"))
    tensors, source, asked = archive(tmp_path / "source.pt"), tmp_path / "source.pt", []

    def download(address, path, *, what, fix):
        asked.append(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)

    monkeypatch.setattr(module, "download", download)
    with pytest.raises(WeightsError, match="is not the file that was published"):
        clip_file("clip-vit-b16")
    (cache_folder() / "weights" / "clip-ViT-B-16.pt").unlink()
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    monkeypatch.setitem(module.FILES, "clip-vit-b16", (digest, "ViT-B-16.pt"))
    found = clip_file("clip-vit-b16")
    assert clip_file("clip-vit-b16") == found and len(asked) == 2  # the first time, and after it was thrown away
    assert asked[1] == f"https://openaipublic.azureedge.net/clip/models/{digest}/ViT-B-16.pt"
    kept = load_file(found)
    assert kept.keys() == tensors.keys() and all(torch.equal(kept[name], tensors[name]) for name in tensors)


def test_weights_go_with_their_networks():
    assert weights_hash("openai") == "openai"
    for kind, weights, right in (("clip-resnet50", "imagenet", "openai"), ("resnet50", "openai", "imagenet")):
        with pytest.raises(ConfigError, match=f"There are no such weights of {kind}(.|\n)*weights='{right}'"):
            config(kind, weights)
    with pytest.raises(ConfigError, match="multiples of 32"):
        config("clip-resnet50", "openai", size=(144, 64))
    config("clip-resnet50", "openai", size=(144, 64), last_stride=1)
    with pytest.raises(ConfigError, match="multiples of 16"):
        config("clip-vit-b16", "openai", size=(120, 64))
    with pytest.raises(ConfigError, match="The last stride is an option of"):
        config("clip-vit-b16", "openai", last_stride=1)
    with pytest.raises(ConfigError, match="Non-local blocks"):
        config("clip-resnet50", "openai", attention="non-local")


@pytest.mark.parametrize("kind", KINDS)
def test_both_trainings_take_them(kind, tmp_path):
    pids = [pid for pid in range(1, 5) for _ in range(5)]
    table = make_table(pids, root=tmp_path / "crops")
    for i, (path, pid) in enumerate(zip(table.paths, pids, strict=True)):
        write_crop(path, seed=pid, quality=60 + 5 * (i % 5))
    path = tmp_path / "start.safetensors"
    save_file(published(kind), path)
    made = config(kind, path, recipe="softmax", last_stride=2, batch=8, steps=1, device="cpu")
    first = train_reid(table, made, out=tmp_path / "reid")
    assert torch.isfinite(first.embed(table)).all()
    blind = UnsupervisedConfig(
        backbone=kind,
        weights=str(tmp_path / "reid"),
        size=(32, 32),
        last_stride=2,
        epochs=1,
        epoch_steps=1,
        batch=8,
        crops_per_cluster=2,
        norm_batch=8,
        k1=5,
        k2=2,
        min_samples=2,
        agreement_k=4,
        augment=AugmentConfig(pad=2),
        device="cpu",
    )
    second = train_unsupervised(table, blind, out=tmp_path / "blind")
    torch.testing.assert_close(second.embed(table), load_reid(tmp_path / "blind", device="cpu").embed(table))
    before, after = (dict(model.network.backbone.named_parameters()) for model in (first, second))
    assert all(not torch.equal(before[name], after[name]) for name in before if not name.endswith("k_proj.bias"))
    with pytest.raises(ConfigError, match="Generalised-mean pooling is for maps"):
        train_unsupervised(table, UnsupervisedConfig(**{**vars(blind), "pooling": "gem"}), out=tmp_path / "gem")
