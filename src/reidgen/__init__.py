"""Grow a person re-identification training set with generated people, and measure honestly whether it helped."""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that defines it. Loaded on first use, so that `reidgen --help` imports no torch.
_PUBLIC = {
    "ReidTable": "reidgen.data.table",
    "load_dataset": "reidgen.data.load",
    "audit": "reidgen.data.audit",
    "PrepareConfig": "reidgen.config",
    "prepare": "reidgen.data.prepare",
    "RenderConfig": "reidgen.config",
    "render_people": "reidgen.render.people",
    "StyleGANConfig": "reidgen.config",
    "DCGANConfig": "reidgen.config",
    "generator_preset": "reidgen.config",
    "train_generator": "reidgen.generators.train",
    "load_generator": "reidgen.generators.trained",
    "GenerateConfig": "reidgen.config",
    "generate_people": "reidgen.generators.people",
    "regenerate": "reidgen.regenerate",
    "EncoderConfig": "reidgen.config",
    "train_encoder": "reidgen.generators.encoder_training",
    "load_encoder": "reidgen.generators.encoder",
    "LikenessConfig": "reidgen.config",
    "load_likeness": "reidgen.generators.likeness",
    "load_start": "reidgen.generators.encoder",
    "load_frozen_reid": "reidgen.backbones.frozen",
    "InversionConfig": "reidgen.config",
    "compare_inversions": "reidgen.generators.comparison",
    "VariantsConfig": "reidgen.config",
    "generate_variants": "reidgen.generators.variants",
    "PairsConfig": "reidgen.config",
    "write_pairs": "reidgen.data.pairs",
    "TranslatorConfig": "reidgen.config",
    "train_translator": "reidgen.generators.translation.train_translator",
    "train_translators": "reidgen.generators.translation.train_translator",
    "load_translator": "reidgen.generators.translation.translator",
    "load_translators": "reidgen.generators.translation.translator",
    "TranslateConfig": "reidgen.config",
    "translate": "reidgen.generators.translation.translate",
    "WalkConfig": "reidgen.config",
    "generate_video": "reidgen.generators.video",
    "GridConfig": "reidgen.config",
    "generate_grid": "reidgen.generators.grids",
    "ConvertConfig": "reidgen.config",
    "convert_weights": "reidgen.generators.convert",
    "DetectorFilter": "reidgen.filters.detector",
    "SSIMFilter": "reidgen.filters.ssim",
    "IdentityFilter": "reidgen.filters.identity",
    "RealismFilter": "reidgen.filters.realism",
    "DiversityFilter": "reidgen.filters.diversity",
    "CopiesFilter": "reidgen.filters.diversity",
    "apply_filters": "reidgen.filters.apply",
    "extend": "reidgen.extend",
    "AugmentConfig": "reidgen.config",
    "ReidConfig": "reidgen.config",
    "with_recipe": "reidgen.config",
    "train_reid": "reidgen.reid.train",
    "load_reid": "reidgen.backbones.reid_model",
    "EvaluateConfig": "reidgen.config",
    "evaluate_reid": "reidgen.evaluate",
    "Result": "reidgen.evaluate",
    "GallerySearchConfig": "reidgen.config",
    "search_gallery": "reidgen.search",
    "ExportConfig": "reidgen.config",
    "export_onnx": "reidgen.reid.export",
    "SweepConfig": "reidgen.config",
    "sweep": "reidgen.sweep.run",
    "SweepResult": "reidgen.sweep.result",
    "FidelityConfig": "reidgen.config",
    "measure_fidelity": "reidgen.fidelity.measure",
    "Fidelity": "reidgen.fidelity.result",
    "ReportConfig": "reidgen.config",
    "write_report": "reidgen.report.page",
    "write_sweep_report": "reidgen.report.sweep_page",
    "ReidgenError": "reidgen.errors",
}
__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from reidgen.config import AugmentConfig as AugmentConfig
    from reidgen.config import ConvertConfig as ConvertConfig
    from reidgen.config import DCGANConfig as DCGANConfig
    from reidgen.config import EncoderConfig as EncoderConfig
    from reidgen.config import EvaluateConfig as EvaluateConfig
    from reidgen.config import ExportConfig as ExportConfig
    from reidgen.config import FidelityConfig as FidelityConfig
    from reidgen.config import GallerySearchConfig as GallerySearchConfig
    from reidgen.config import GenerateConfig as GenerateConfig
    from reidgen.config import GridConfig as GridConfig
    from reidgen.config import InversionConfig as InversionConfig
    from reidgen.config import LikenessConfig as LikenessConfig
    from reidgen.config import PairsConfig as PairsConfig
    from reidgen.config import PrepareConfig as PrepareConfig
    from reidgen.config import ReidConfig as ReidConfig
    from reidgen.config import RenderConfig as RenderConfig
    from reidgen.config import ReportConfig as ReportConfig
    from reidgen.config import StyleGANConfig as StyleGANConfig
    from reidgen.config import SweepConfig as SweepConfig
    from reidgen.config import TranslateConfig as TranslateConfig
    from reidgen.config import TranslatorConfig as TranslatorConfig
    from reidgen.config import VariantsConfig as VariantsConfig
    from reidgen.config import WalkConfig as WalkConfig
    from reidgen.config import generator_preset as generator_preset
    from reidgen.config import with_recipe as with_recipe
    from reidgen.data.table import ReidTable as ReidTable
    from reidgen.errors import ReidgenError as ReidgenError


class _Package(types.ModuleType):
    """Keeps `reidgen.extend` the function: importing the module of that name would put the module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'reidgen' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
