"""SPGAN's contrastive loss: crops of one person close together, of two people at least a margin apart."""

from torch import Tensor


def contrastive_loss(first: Tensor, second: Tensor, *, same: bool, margin: float = 2.0) -> Tensor:
    """Mean over pairs of d^2 for pairs of one person, of max(0, margin - d)^2 for pairs of two.

    d is the Euclidean distance of the embeddings (Deng et al. 2018, equation 5). At the margin 2 unit vectors are
    pushed apart until they are opposite.

    Args:
        first: Embeddings (N, D).
        second: Of the other crop of each pair, (N, D).
        same: Whether the pairs are of one person each.
        margin: Distance from which two people are far enough apart, 0 to 2 for unit vectors.
    """
    squared = (first - second).square().sum(dim=1)
    if same:
        return squared.mean()
    distance = squared.clamp(min=1e-12).sqrt()  # the root of 0 has no slope
    return (margin - distance).clamp(min=0).square().mean()


def similarity_loss(
    source: Tensor, source_moved: Tensor, target: Tensor, target_moved: Tensor, *, margin: float = 2.0
) -> Tensor:
    """SPGAN's loss of the similarity network and of the generators, both ways of the cycle.

    A crop and its translation are of one person; a translation and a crop of the camera that it was moved to are of
    two, as no person of the one set is in the other (Deng et al. 2018, section 3.2). The sum of the four is divided by
    three, which is the scale that the published weight 2 goes with.

    Args:
        source: Embeddings (N, D) of crops of the source.
        source_moved: Of their translations.
        target: Of crops of the target.
        target_moved: Of their translations.
        margin: As in `contrastive_loss`.
    """
    near = contrastive_loss(source, source_moved, same=True) + contrastive_loss(target, target_moved, same=True)
    apart = [(source_moved, target), (target_moved, source)]
    return (near + sum(contrastive_loss(*pair, same=False, margin=margin) for pair in apart)) / 3
