"""State dicts of other programs: safetensors or files of torch.save, whatever they are called and wrapped in."""

from pathlib import Path
from typing import Any

from torch import Tensor

from reidgen.engine.checkpoint import load_tensors
from reidgen.engine.foreign import read_foreign
from reidgen.engine.foreign.file_kinds import head_of, is_safetensors
from reidgen.engine.foreign.pickle_machine import shown
from reidgen.errors import WeightsError

# Where checkpoints keep the network beside the optimiser, the epoch and the like.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
PREFIXES = ("module.", "_orig_mod.")  # of torch's DataParallel and torch.compile
MOCO = "encoder_q."  # of MoCo's network, beside its slow copy and its queue


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a weight file; its content says what it is, and its name does not matter.

    A checkpoint such as torchreid's `model.pth.tar-60` gives the network that it keeps; the prefixes that DataParallel
    and torch.compile put before all names are left out. Of MoCo's checkpoint it gives the encoder that learned. Nothing
    in the file is run.

    Raises:
        WeightsError: The file is missing, damaged, or holds no state dict; it is told for what it is.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weight file {path}.", allowed="a .safetensors or .pth file")
    head = head_of(path)
    if is_safetensors(head, path.stat().st_size) or path.suffix == ".safetensors":
        tensors, metadata = load_tensors(path)
        return _plain(tensors), metadata
    return _plain(_state(read_foreign(path), path)), {}


def _state(content: Any, path: Path) -> dict[str, Tensor]:
    inside = [content[name] for name in WRAPPERS if name in content] if isinstance(content, dict) else []
    for value in (content, *inside):
        if isinstance(value, dict) and value and all(_is_entry(*entry) for entry in value.items()):
            return dict(value)
    listed = ", ".join(shown(str(name)) for name in list(content)[:8]) if isinstance(content, dict) else ""
    raise WeightsError(
        f"{path} holds no plain set of tensors.",
        got=f"a dict of {listed or 'nothing'}" if isinstance(content, dict) else f"a {type(content).__name__}",
        allowed=f"a state dict, or a checkpoint that has one as {', '.join(WRAPPERS)}",
        fix="torch.save(network.state_dict(), FILE)",
    )


def _is_entry(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES * 2:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    learned = {name.removeprefix(MOCO): value for name, value in tensors.items() if name.startswith(MOCO)}
    return learned or tensors
