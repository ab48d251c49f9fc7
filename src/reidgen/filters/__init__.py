"""Filters score crops and say which to leave out; they never delete or move a file."""

from reidgen.filters.base import Filter
from reidgen.filters.detector import DetectorFilter
from reidgen.filters.ssim import SSIMFilter

__all__ = ["DetectorFilter", "Filter", "SSIMFilter"]
