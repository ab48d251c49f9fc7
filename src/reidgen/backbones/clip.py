"""OpenAI's CLIP weights: the published files, downloaded and turned into safetensors once."""

import warnings
from pathlib import Path

import torch
from safetensors.torch import save

from reidgen.engine.cache import cache_folder
from reidgen.engine.download import check_digest, download
from reidgen.errors import option
from reidgen.files import write_bytes

SITE = "https://openaipublic.azureedge.net/clip/models"
# SHA-256 of the whole file, which is a part of its address, and its name.
FILES = {
    "clip-resnet50": ("afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", "RN50.pt"),
    "clip-vit-b16": ("5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", "ViT-B-16.pt"),
}
VISUAL = "visual."  # of the image encoder, beside the one of texts


def clip_file(backbone: str) -> Path:
    """The image encoder as .safetensors in the cache folder; downloaded and converted the first time.

    The published file is a TorchScript archive. It is opened by torch only if it is that very file, and none of its
    code is called; any other such archive is refused.

    Raises:
        WeightsError: The file is not there and cannot be downloaded, or is not the published one.
    """
    digest, name = FILES[backbone]
    folder = cache_folder() / "weights"
    ours, theirs = folder / f"clip-{Path(name).stem}.safetensors", folder / f"clip-{name}"
    if ours.is_file():
        return ours
    address = f"{SITE}/{digest}/{name}"
    if not theirs.is_file():
        download(address, theirs, what="OpenAI's CLIP weights", fix=option(weights="FILE.safetensors"))
    check_digest(theirs, f"sha256:{digest}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit.load, for which there is no other reader
        state = torch.jit.load(str(theirs), map_location="cpu").state_dict()
    write_bytes(ours, save(image_encoder({k: v.contiguous() for k, v in state.items()}), metadata={"source": address}))
    theirs.unlink()
    return ours


def image_encoder(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of a file with both encoders that of images, without its prefix; other files as they are."""
    seen = {name.removeprefix(VISUAL): value for name, value in tensors.items() if name.startswith(VISUAL)}
    return seen or tensors
