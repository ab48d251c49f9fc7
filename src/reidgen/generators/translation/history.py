"""Made crops that are kept, so that a discriminator sees older ones too (Shrivastava et al. 2017, section 2.3)."""

from typing import Any

import torch
from torch import Tensor


class History:
    """Up to `size` crops. Once it is full, each new one is shown itself, or by even chances swapped for a kept one.

    Attributes:
        kept: The crops (N, C, H, W), or None before the first.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.kept: Tensor | None = None

    def show(self, made: Tensor, generator: torch.Generator) -> Tensor:
        """The crops (N, C, H, W) that the discriminator sees in place of those just made."""
        if self.size == 0:
            return made
        shown = []
        for crop in made.detach():
            kept = 0 if self.kept is None else len(self.kept)
            swap, place = torch.rand(2, generator=generator).tolist()
            if self.kept is None or kept < self.size:
                self.kept = crop[None].clone() if self.kept is None else torch.cat([self.kept, crop[None]])
                shown.append(crop)
            elif swap < 0.5:
                index = int(place * kept)
                shown.append(self.kept[index].clone())
                self.kept[index] = crop
            else:
                shown.append(crop)
        return torch.stack(shown)

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs."""
        return {} if self.kept is None else {"kept": self.kept}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to a `state`."""
        self.kept = state["kept"].to(device) if "kept" in state else None
