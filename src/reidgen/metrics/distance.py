"""Distances between embeddings. A gallery is prepared once and then met by block after block of queries."""

from collections.abc import Callable
from typing import Literal

import torch

from reidgen.errors import DataError

Metric = Literal["cosine", "euclid"]


def cosine_distance(query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """1 - q.g / (|q| |g|), from 0 (same direction) to 2; a zero vector has distance 1 to everything.

    Alvarez-Gonzalez et al., *GANs for data augmentation in person re-identification*, section 3.4.

    Args:
        query: Embeddings (Q, D).
        gallery: Embeddings (G, D).

    Returns:
        Float32 (Q, G); float64 where an argument is float64. Half precision would make ties that move the mAP.

    >>> cosine_distance(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])).tolist()
    [[0.0, 1.0, 2.0]]
    """
    return distance_to(gallery, "cosine")(query)


def euclid_distance(query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    """|q - g| >= 0, computed as the root of |q|^2 + |g|^2 - 2 q.g; shapes and types as in `cosine_distance`.

    >>> euclid_distance(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])).tolist()
    [[5.0]]
    """
    return distance_to(gallery, "euclid")(query)


def distance_to(gallery: torch.Tensor, metric: Metric = "cosine") -> Callable[..., torch.Tensor]:
    """A function from queries (Q, D) to their distances (Q, G) to one gallery (G, D).

    It keeps the gallery's norms, but no second copy of the gallery unless that is in half precision. Given an `out` of
    the distances' shape and type, it writes them there.

    Raises:
        DataError: The metric is unknown; or, by the function, the widths differ.
    """
    if metric not in ("cosine", "euclid"):
        raise DataError("The metric is unknown.", got=metric, allowed="cosine, euclid")
    gallery = gallery.to(torch.promote_types(gallery.dtype, torch.float32))
    norm = torch.linalg.vector_norm(gallery, dim=1)
    behind = norm.clamp(min=1e-12).neg_()

    def cosine(query: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
        products = torch.mm(torch.nn.functional.normalize(query), gallery.to(query.dtype).T, out=out)
        return products.div_(behind).add_(1)

    def euclid(query: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
        lengths = norm.square().to(query.dtype)[None]
        squares = torch.addmm(lengths, query, gallery.to(query.dtype).T, alpha=-2, out=out)
        return squares.add_(query.square().sum(dim=1, keepdim=True)).clamp_(min=0).sqrt_()

    def checked(query: torch.Tensor, *, out: torch.Tensor | None = None) -> torch.Tensor:
        if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
            shapes = f"{tuple(query.shape)} and {tuple(gallery.shape)}"
            raise DataError("Query and gallery embeddings do not fit.", got=shapes, allowed="(Q, D) and (G, D)")
        query = query.to(torch.promote_types(query.dtype, gallery.dtype))
        return cosine(query, out) if metric == "cosine" else euclid(query, out)

    return checked
