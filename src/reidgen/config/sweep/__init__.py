"""The knobs of a sweep: its own, and its axes and arms read from texts."""

from reidgen.config.sweep.sweep import PRESET_AXES as PRESET_AXES
from reidgen.config.sweep.sweep import SweepConfig as SweepConfig
from reidgen.config.sweep.sweep import SweepPreset as SweepPreset
