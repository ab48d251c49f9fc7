"""What a re-ID network has learned from, before it judges: a network that knows a crop by heart finds it right."""

import numpy as np

from reidgen.backbones.reid_model import ReidModel
from reidgen.data.table import ReidTable
from reidgen.errors import WeightsError, say
from reidgen.files import file_sha256
from reidgen.reid.supervised.people import DIGITS

TRY = "a network trained on real crops: reidgen train-reid --data DIR with the real table"


def check_unseen(model: ReidModel, where: str, table: ReidTable, real: np.ndarray) -> None:
    """Make sure that a network has not learned from the generated crops that it shall judge.

    Args:
        model: The network.
        where: Its folder, for the error.
        table: The crops.
        real: bool (N,), which of them claim to be people of the reference.

    Raises:
        WeightsError: It has learned from one of them, or from another generated crop of a real person whom one claims
            to be; or it has learned from generated crops and its file does not say which.
    """
    generated = (table.rows["origin"] == "generated").to_numpy()
    if not generated.any():
        return
    if model.learned is None:
        _check_none_generated(model, where)
        return
    judged = table.where(generated)
    seen = set(model.learned["generated"])
    known = [path for path in judged.paths if seen and file_sha256(path)[:DIGITS] in seen]
    if known:
        raise WeightsError(
            f"The re-ID network {where} has learned from the crops that it shall judge.",
            got=f"{len(known):,} of {len(judged):,} generated crops, such as {known[0]}",
            allowed="a network that has not learned from them",
            fix=TRY,
        )
    people = set(table.pids[generated & real].tolist()) & set(model.learned["generated_people"])
    if people:
        raise WeightsError(
            f"The re-ID network {where} has learned from other generated crops of the people that it shall judge.",
            got=f"{len(people):,} people, such as pid {min(people)}",
            allowed="a network trained without generated crops of them",
            fix=TRY,
        )


def _check_none_generated(model: ReidModel, where: str) -> None:
    if model.facts.get("generated_share") != 0:
        raise WeightsError(
            f"Nobody knows whether the re-ID network {where} has learned from the crops that it shall judge.",
            got=f"generated share {model.facts.get('generated_share', 'not recorded')}, no list of crops",
            allowed="a network without generated crops in its training, or with a list of its crops",
            fix=TRY,
        )


def tell_known_people(model: ReidModel, where: str, reference: ReidTable) -> None:
    """Say how many people of the reference the network has learned from: their crops are nearer to each other."""
    if model.learned is None:
        say(f"identity: nobody knows whether {where} has learned from the reference's people")
        return
    seen = set(model.learned["others"])
    known = {
        pid
        for pid, path in zip(reference.pids.tolist(), reference.paths, strict=True)
        if pid > 0 and seen and file_sha256(path)[:DIGITS] in seen
    }
    people = set(reference.pids[reference.pids > 0].tolist())
    if known:
        say(
            f"identity: {where} has learned from {len(known):,} of the reference's {len(people):,} people; their crops "
            "are more alike to it than those of strangers, which makes thresholds for new people too high"
        )
