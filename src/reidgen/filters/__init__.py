"""Filters score crops and say which to leave out; they never delete or move a file."""

from reidgen.filters.base import Filter
from reidgen.filters.detector import DetectorFilter
from reidgen.filters.diversity import CopiesFilter, DiversityFilter
from reidgen.filters.identity import IdentityFilter
from reidgen.filters.realism import RealismFilter
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
