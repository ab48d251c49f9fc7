"""Groups of crops that look alike, and who is in them: the targets of label policy "slsr"."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from reidgen.backbones.reid_model import ReidModel
from reidgen.config import GeneratedConfig
from reidgen.engine import RunFolder
from reidgen.engine.checkpoint import load_state, save_state
from reidgen.engine.runs.run import RunFiles
from reidgen.errors import ConfigError, option
from reidgen.reid.supervised.people import People

GROUPS = "groups.safetensors"


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each crop belongs to, and what that says of who it may be.

    Attributes:
        crops: int64 (N,), group of each crop.
        shares: float32 (G, K), the target of a generated crop of each group.
    """

    crops: torch.Tensor
    shares: torch.Tensor


def find_groups(features: torch.Tensor, people: People, *, groups: int, seed: int) -> Groups:
    """k-means on the features of the real crops that are learned from; every crop belongs to its nearest centre.

    Ainam et al. 2019, *Sparse label smoothing regularization for person re-identification*: k-means on the features
    of real crops, one generator for each cluster, and for its crops equal shares for the people in the cluster. Here
    one generator makes all crops, so a generated crop joins the cluster it looks most like.

    Args:
        features: float32 (N, D) of all crops; compared after division by their lengths, in float64.
        people: The crops, N of them.
        groups: How many.
        seed: Of the first centres.

    Raises:
        ConfigError: There are fewer real crops than groups.
    """
    real = people.train[~people.generated[people.train]]
    if groups > len(real):
        raise ConfigError(
            f"{option('generated_groups')} asks for more groups than there are real crops.",
            got=groups,
            allowed=f"1 to {len(real)}",
            fix=option(generated_groups=min(3, len(real))),
        )
    from sklearn.cluster import KMeans  # a second and a half to import, for this label policy alone

    directions = functional.normalize(features.double(), dim=1).cpu().numpy()
    crops = (
        KMeans(groups, n_init=10, random_state=seed % 2**32).fit(directions[real]).predict(directions).astype(np.int64)
    )
    return Groups(torch.from_numpy(crops), people_shares(crops[real], people.labels[real], groups, len(people.pids)))


def people_shares(crops: np.ndarray, labels: np.ndarray, groups: int, people: int) -> torch.Tensor:
    """Equal shares for the people who have a crop in a group: float32 (groups, people), each row sums to 1.

    Args:
        crops: int64 (N,), group of each real crop; every group has one.
        labels: int64 (N,), who is on it.
        groups: How many groups.
        people: How many people.
    """
    members = torch.zeros(groups, people)
    members[torch.from_numpy(crops), torch.from_numpy(labels)] = 1.0
    return members / members.sum(dim=1, keepdim=True)


def kept_groups(run: RunFolder | RunFiles, people: People, config: GeneratedConfig, model: ReidModel) -> Groups:
    """The groups of a training: found once and kept in a file of the run, so that a resumed one has the same ones."""
    file = run.path / GROUPS
    if not file.is_file():
        found = find_groups(model.embed(people.table), people, groups=config.generated_groups, seed=config.seed)
        save_state(file, {"crops": found.crops, "shares": found.shares}, run=run.identity)
    kept = load_state(file, run=run.identity)
    return Groups(kept["crops"], kept["shares"])
