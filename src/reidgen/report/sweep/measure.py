"""What generated people are worth: a sweep over the labelled people, and its page, in one call."""

from pathlib import Path

import polars as pl

from reidgen.config import SweepConfig, require
from reidgen.errors import option
from reidgen.report.sweep.points import SweepView
from reidgen.report.sweep.sweep_page import write_sweep_report
from reidgen.report.sweep.worth import frame, measured
from reidgen.sweep.result import SweepResult
from reidgen.sweep.run import sweep

WORTH_PAGE = "page"


def worth(
    real: Path | str, config: SweepConfig = SweepConfig(preset="worth", seeds=5), *, out: Path | str
) -> pl.DataFrame:
    """Train a baseline and arms at several shares of the labelled people, and say how many of them each arm is worth.

    It is `sweep` with arms, whose folder is `out`, and `write_sweep_report`, whose page is in `out / "page"`:
    index.html with worth.md, worth.csv, worth.json and figures. The same call again goes on, and may have more arms
    and seeds.

    Args:
        real: Folder of a table with train, query and gallery.
        config: With `arm`, and the axis `real` with two shares above 0 or more, as preset "worth" has it.
        out: Run folder.

    Returns:
        One row an arm and share: arm, share, labelled_people, seeds, mean and deviation of mAP without and with the
        arm, their difference with its 95 % interval, worth_people with worth_low and worth_high (null where that is
        not determined or beyond what was measured), the same in words, steps, seconds_a_run.

    Raises:
        ConfigError: There is no arm or no curve, or an arm has another length or test than the baseline.
        WeightsError: Weights of an arm cannot be had, or do not fit.
        DataError: As `sweep`; or a start has learned from crops that it must not know.
        TrainingError: Some runs failed; all others are finished.
    """
    check_worth(config)
    sweep(real, config, out=out)
    write_sweep_report(sweep=out, out=Path(out) / WORTH_PAGE)
    return frame(measured(SweepView.of(SweepResult.read(out))))


def check_worth(config: SweepConfig) -> None:
    """Raise `ConfigError` unless there are arms, and labelled people are what is varied besides."""
    arm = "rendered start: weights=runs/start"
    require(
        bool(config.arm),
        "There is nothing to measure the worth of.",
        got="no arm",
        allowed=option("arm"),
        fix=option(arm=arm),
    )
    axes = {axis.name: axis.values for axis in config.axes if axis.name != "arm"}
    require(
        list(axes) == ["real"] and sum(share > 0 for share in axes["real"]) > 1,
        "The worth is measured over the number of labelled people alone.",
        got=", ".join(config.axis) or option(preset=config.preset),
        allowed="two shares above 0 or more, and no other axis",
        fix=option(preset="worth"),
    )
