"""How near generated features are to real ones: FID, KID, improved precision and recall."""

from reidgen.metrics.fidelity.frechet import Moments, frechet_distance
from reidgen.metrics.fidelity.kernel import KernelDistance, kernel_distance, squared_mmd
from reidgen.metrics.fidelity.manifold import Manifold, precision_recall

__all__ = [
    "KernelDistance",
    "Manifold",
    "Moments",
    "frechet_distance",
    "kernel_distance",
    "precision_recall",
    "squared_mmd",
]
