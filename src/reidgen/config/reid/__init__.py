"""The knobs of re-ID trainings, in parts that several kinds of training share."""

from reidgen.config.reid.batches import BatchesConfig as BatchesConfig
from reidgen.config.reid.generated import GeneratedConfig as GeneratedConfig
from reidgen.config.reid.generated import GeneratedLabel as GeneratedLabel
from reidgen.config.reid.losses import LossesConfig as LossesConfig
from reidgen.config.reid.network import NetworkConfig as NetworkConfig
from reidgen.config.reid.recipes import RECIPES as RECIPES
from reidgen.config.reid.recipes import Recipe as Recipe
from reidgen.config.reid.schedule import ScheduleConfig as ScheduleConfig
from reidgen.config.reid.supervised import ReidConfig as ReidConfig
from reidgen.config.reid.supervised import with_recipe as with_recipe
from reidgen.config.reid.unsupervised import UNSUPERVISED_RECIPES as UNSUPERVISED_RECIPES
from reidgen.config.reid.unsupervised import UnsupervisedConfig as UnsupervisedConfig
from reidgen.config.reid.unsupervised import UnsupervisedRecipe as UnsupervisedRecipe
