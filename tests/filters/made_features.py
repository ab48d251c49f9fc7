"""Features by hand for filter tests: a table whose crops have given vectors, without pictures or a network."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import torch

from tests.factories import make_table

MODULES = ("embedding", "identity")


class Vectors:
    """The feature of each crop by its file; `put` makes a table of crops with given ones."""

    def __init__(self):
        self.of_file = {}

    def put(self, vectors, pids, camids=None, *, name, unit=True, **columns):
        table = make_table(pids, camids, name=name, **columns)
        table = replace(table, rows=table.rows.with_columns(root=pl.lit(name)))
        vectors = torch.as_tensor(vectors, dtype=torch.float32)
        vectors = torch.nn.functional.normalize(vectors) if unit else vectors
        self.of_file.update(zip(map(str, table.paths), vectors, strict=True))
        return table

    def __call__(self, table, features, *, size, batch, device):
        return torch.stack([self.of_file[str(path)] for path in table.paths])

    def array(self, table):
        """The vectors of a table, float64 (N, D)."""
        return self(table, "", size=None, batch=1, device="cpu").double().numpy()

    def install(self, patch, *, learned=None, facts=None):
        """Let the filters take these features, and a network that has learned from given crops."""
        for module in MODULES:
            patch.setattr(f"reidgen.filters.features.{module}.features_of", self)
            patch.setattr(f"reidgen.filters.features.{module}.feature_hash", lambda *_: "0" * 64)
        learned = {"generated": [], "others": [], "generated_people": []} if learned is None else learned
        model = SimpleNamespace(learned=learned, facts=facts or {})
        patch.setattr("reidgen.filters.features.identity.load_reid", lambda *_, **__: model)
        return model


def people(pids, *, spread, seed, width=6):
    """Vectors of people: a centre each, and crops around it."""
    rng = np.random.default_rng(seed)
    centres = {pid: rng.normal(size=width) for pid in dict.fromkeys(pids)}
    return np.stack([centres[pid] + spread * rng.normal(size=width) for pid in pids])
