"""A supervised re-ID training: all its parts, and the recipes that give them values."""

from dataclasses import dataclass
from typing import Any, Literal

from reidgen.config.base import fill, refilled, require
from reidgen.config.data import AugmentConfig
from reidgen.config.reid.backbone import Attention
from reidgen.config.reid.generated import GeneratedConfig
from reidgen.config.reid.losses import LossesConfig
from reidgen.config.reid.network import Neck, NetworkConfig, Pooling
from reidgen.config.reid.recipes import OF_RECIPE, RECIPES, Recipe, RecipeConfig, renamed_from
from reidgen.config.reid.schedule import Optimizer, ScheduleConfig
from reidgen.errors import option


@dataclass(frozen=True, kw_only=True)
class ReidConfig(GeneratedConfig, ScheduleConfig, LossesConfig, NetworkConfig, RecipeConfig):
    """A supervised re-ID training.

    Options without a value get the recipe's (`reidgen.config.reid.recipes` has them side by side, with the published
    numbers that they belong to). To change the recipe of a config that is there already, use `with_recipe`.

    Attributes:
        test_metric: Distance by which the recipe compares crops; an evaluation takes it unless it is told another.
        test_flip: "sum" adds the embedding of the mirrored crop; likewise.
    """

    neck: Neck = OF_RECIPE
    pooling: Pooling = OF_RECIPE
    attention: Attention = OF_RECIPE
    last_stride: Literal[1, 2] = OF_RECIPE
    epochs: int = OF_RECIPE
    batch: int = OF_RECIPE
    sampler: Literal["crops", "people"] = OF_RECIPE
    losses: tuple[str, ...] = OF_RECIPE
    label_smoothing: float = OF_RECIPE
    dropout: float = OF_RECIPE
    optimizer: Optimizer = OF_RECIPE
    lr: float = OF_RECIPE
    backbone_lr: float = OF_RECIPE
    decay_at: tuple[float, ...] = OF_RECIPE
    warmup: float = OF_RECIPE
    warmup_from: float = OF_RECIPE
    validation: Literal["first", "none"] = OF_RECIPE
    augment: AugmentConfig = OF_RECIPE
    test_metric: Literal["cosine", "euclid"] = OF_RECIPE
    test_flip: Literal["sum", "none"] = OF_RECIPE

    def __post_init__(self) -> None:
        require(
            self.recipe in RECIPES,
            f"{option('recipe')} must be one of the allowed names.",
            got=self.recipe,
            allowed=", ".join(RECIPES),
        )
        fill(self, RECIPES[self.recipe])
        self._check_renamed()
        super().__post_init__()
        require(
            self.frozen == 0
            or "cross-entropy" in self.loss_weights
            or self.neck in ("bottleneck", "bottleneck-relu")
            or self.pooling == "gem",
            "While the backbone is frozen nothing learns from these losses, which see the pooled feature.",
            got=f"{option(losses=self.losses)} {option(neck=self.neck)} {option(frozen=self.frozen)}",
            allowed=f"{option(frozen=0)}; or cross-entropy among the losses, "
            f"{option(neck='bottleneck')}, or {option(pooling='gem')}",
            fix=option(frozen=0),
        )

    def _check_renamed(self) -> None:
        other = renamed_from(self.recipe, self)
        require(
            other is None,
            f"This is recipe {other}, and says to be {self.recipe}.",
            got=f"recipe {self.recipe} with the options of {other}",
            allowed=f"the options of {self.recipe}, or single ones changed",
            fix=f'with_recipe(config, "{self.recipe}"), or ReidConfig(recipe="{self.recipe}", ...)',
        )


def with_recipe(config: ReidConfig, recipe: Recipe, **changes: Any) -> ReidConfig:
    """A config under another recipe: what it has beyond its own recipe's values stays, all else becomes the new one's.

    Args:
        config: A training.
        recipe: The new recipe.
        changes: Further fields.

    Raises:
        ConfigError: The recipe is unknown, or the values do not go together.
    """
    return refilled(config, "recipe", recipe, **changes)
