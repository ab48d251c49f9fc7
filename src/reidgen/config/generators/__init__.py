"""The knobs of what makes crops: training it, and drawing from it."""

from reidgen.config.generators.dcgan import DCGANConfig as DCGANConfig
from reidgen.config.generators.encoder import EncoderConfig as EncoderConfig
from reidgen.config.generators.inversion import InversionConfig as InversionConfig
from reidgen.config.generators.inversion import SearchConfig as SearchConfig
from reidgen.config.generators.inversion import VariantsConfig as VariantsConfig
from reidgen.config.generators.likeness import LikenessConfig as LikenessConfig
from reidgen.config.generators.presets import ENCODER_PRESETS as ENCODER_PRESETS
from reidgen.config.generators.presets import PRESETS as PRESETS
from reidgen.config.generators.presets import EncoderPreset as EncoderPreset
from reidgen.config.generators.presets import GeneratorConfig as GeneratorConfig
from reidgen.config.generators.presets import Preset as Preset
from reidgen.config.generators.presets import generator_preset as generator_preset
from reidgen.config.generators.sampling import GenerateConfig as GenerateConfig
from reidgen.config.generators.sampling import GridConfig as GridConfig
from reidgen.config.generators.sampling import WalkConfig as WalkConfig
from reidgen.config.generators.stylegan import Network as Network
from reidgen.config.generators.stylegan import StyleGANConfig as StyleGANConfig
from reidgen.config.generators.translation import TranslateConfig as TranslateConfig
from reidgen.config.generators.translation import TranslatorConfig as TranslatorConfig
from reidgen.config.generators.translators import TRANSLATOR_PRESETS as TRANSLATOR_PRESETS
from reidgen.config.generators.translators import TranslatorPreset as TranslatorPreset
from reidgen.config.generators.views import RotateConfig as RotateConfig
from reidgen.config.generators.views import RotatorConfig as RotatorConfig
