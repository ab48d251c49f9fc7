"""Losses that hold the person and the place of a translated crop to two images (Kolbeinsson 2019, section 4.6).

All are means over every value of the images, masked out ones too, as in the thesis's code snippet 3, so that a weight
means the same for a small person and a large one. Masks are 1 on the person and 0 elsewhere; those in between blend.
"""

from torch import Tensor


def static_losses(
    made: Tensor, source: Tensor, target: Tensor, source_mask: Tensor, target_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The person as in the source crop, and the target's place where neither of the two people stands.

    Foreground: mean of |G(x) - x| m_in (equation 7). Background: mean of |G(x) - y| (1 - m_in) (1 - m_out) (8).

    Args:
        made: What the generator makes, (N, C, H, W).
        source: The crop x that it was made from.
        target: A crop y of the other camera, of anybody.
        source_mask: Of x, (N, 1, H, W), 0 to 1.
        target_mask: Of y.

    Returns:
        Foreground and background loss.
    """
    foreground = ((made - source).abs() * source_mask).mean()
    background = ((made - target).abs() * (1 - source_mask) * (1 - target_mask)).mean()
    return foreground, background


def variable_losses(made: Tensor, target: Tensor, target_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Person and place both as in the target crop, which shows the same person in another pose.

    Foreground: mean of |G(x) - y| m_out (equation 11). Background: mean of |G(x) - y| (1 - m_out) (equation 12).

    Args:
        made: What the generator makes, (N, C, H, W).
        target: The crop y of the same person in the other camera.
        target_mask: Of y, (N, 1, H, W), 0 to 1.

    Returns:
        Foreground and background loss; with equal weights their sum is the L1 loss.
    """
    error = (made - target).abs()
    return (error * target_mask).mean(), (error * (1 - target_mask)).mean()
