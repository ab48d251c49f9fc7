"""The knobs of converting weights that were trained elsewhere, and of giving away weights that were trained here."""

from dataclasses import dataclass
from typing import Literal

from reidgen.config.base import check_seed


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What is taken from a foreign weight file.

    Attributes:
        weights: "ema" takes the average of the generator over its training, which draws better; "raw" the generator
            itself.
        save_dtype: Number format of generator.safetensors; "float16" halves the file.
        seed: Every verb has one; a conversion draws nothing.
    """

    weights: Literal["ema", "raw"] = "ema"
    save_dtype: Literal["float32", "float16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is written for programs without reidgen.

    Attributes:
        flip: What the file gives for a crop. "sum": the sum of its embedding and of its mirror image's. "none": its
            embedding, at half the cost. "recipe": what the network's recipe compares crops by.
        seed: Of the random crops that the file is checked with.
    """

    flip: Literal["recipe", "sum", "none"] = "recipe"
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
