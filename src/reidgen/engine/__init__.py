"""What every stage runs on: run folders, checkpoints, devices and progress."""

from reidgen.engine.runs.run import RunFolder

__all__ = ["RunFolder"]
