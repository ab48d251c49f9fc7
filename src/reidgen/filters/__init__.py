"""Filters score crops and say which to leave out; they never delete or move a file."""

from reidgen.filters.base import Filter
from reidgen.filters.detection.detector import DetectorFilter
from reidgen.filters.features.diversity import CopiesFilter, DiversityFilter
from reidgen.filters.features.identity import IdentityFilter
from reidgen.filters.features.realism import RealismFilter
from reidgen.filters.ssim import SSIMFilter

__all__ = [
    "CopiesFilter",
    "DetectorFilter",
    "DiversityFilter",
    "Filter",
    "IdentityFilter",
    "RealismFilter",
    "SSIMFilter",
]
