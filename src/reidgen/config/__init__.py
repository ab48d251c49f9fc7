"""Every knob of every stage as a frozen dataclass. Imports no torch: `reidgen --help` reads this package alone."""

from reidgen.config.base import Device as Device
from reidgen.config.base import Precision as Precision
from reidgen.config.base import as_dict as as_dict
from reidgen.config.base import require as require
from reidgen.config.conversion import ConvertConfig as ConvertConfig
from reidgen.config.data import AugmentConfig as AugmentConfig
from reidgen.config.data import PrepareConfig as PrepareConfig
from reidgen.config.data import RenderConfig as RenderConfig
from reidgen.config.fidelity import FidelityConfig as FidelityConfig
from reidgen.config.generators import DCGANConfig as DCGANConfig
from reidgen.config.generators import GeneratorConfig as GeneratorConfig
from reidgen.config.generators import StyleGANConfig as StyleGANConfig
from reidgen.config.pages import QuickstartConfig as QuickstartConfig
from reidgen.config.pages import ReportConfig as ReportConfig
from reidgen.config.presets import PRESETS as PRESETS
from reidgen.config.presets import Preset as Preset
from reidgen.config.presets import generator_preset as generator_preset
from reidgen.config.reid import EvaluateConfig as EvaluateConfig
from reidgen.config.reid import ExtendConfig as ExtendConfig
from reidgen.config.reid import FilterConfig as FilterConfig
from reidgen.config.reid import ReidConfig as ReidConfig
from reidgen.config.sampling import GenerateConfig as GenerateConfig
from reidgen.config.sampling import GridConfig as GridConfig
from reidgen.config.sampling import WalkConfig as WalkConfig
