"""Adding generated people, or generated crops of real people, to a real dataset's train split."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from reidgen.config import ExtendConfig
from reidgen.data.provenance.parents import end_of_chain
from reidgen.data.table import ReidTable
from reidgen.engine import RunFolder
from reidgen.errors import ConfigError, DataError, option
from reidgen.files import Crops, check_apart, sha256


def extend(
    real: ReidTable,
    generated: ReidTable,
    people: int | None = None,
    crops_per_person: int | None = None,
    label: Literal["new", "same"] = "new",
    out: Path | str | None = None,
    *,
    unjudged: Literal["refuse", "allow"] = "refuse",
    crops: Crops = "link",
) -> ReidTable:
    """All of a real dataset, and generated crops in its train split.

    Alvarez-Gonzalez et al., *GANs for data augmentation in person re-identification*, section 4.2 (new people, label
    "new") and section 4.3 (more crops of each real person, label "same").

    Args:
        real: The real (or rendered) table; its train, query and gallery rows are all kept.
        generated: Generated crops in the train split. Crops that a filter has rejected are never added.
        people: The first N people of the generated table, in table order, that have a kept crop; None: all.
        crops_per_person: At most M kept crops a person, in table order; None: all.
        label: "new" gives each generated person an identity of its own, numbered from the largest real pid of any
            split on. "same" adds each crop to the real person that its parents lead to: `parent` names a crop of the
            generated table, whose `parent` ... names a crop of the real train split. Crops whose column `identity` is
            "new", as `generate_variants` writes it, are then left out, and counted in the run's summary.
        out: Folder to write the table to; None writes nothing.
        unjudged: Whether label "same" takes crops that no identity filter has judged (no `score_identity`).
        crops: Whether written crops are hard links to those of both tables, or copies; see `ReidTable.write`.

    Returns:
        The real rows, then the added ones with split train. Added crops keep their camera numbers and every column of
        where they come from; a `parent` that was not added itself is written `NAME-OF-THE-GENERATED-TABLE:file`.

    Raises:
        ConfigError: More people are asked for than there are, or label "same" for crops that come from no real person,
            or that no identity filter has judged; or `out` is the folder of one of the tables.
        DataError: The real table has no train crops, or the generated one has no kept train crops, or real
            ones.
    """
    config = ExtendConfig(people=people, crops_per_person=crops_per_person, label=label, unjudged=unjudged)
    return run_extend(real, generated, config, out=out, crops=crops)


def run_extend(
    real: ReidTable,
    generated: ReidTable,
    config: ExtendConfig,
    *,
    out: Path | str | None = None,
    crops: Crops = "link",
) -> ReidTable:
    """`extend` with the options of a config."""
    kept = _kept(real, generated)
    others = int(_others(kept).sum())
    if config.label == "same" and others:
        kept = _same_people(kept, generated)
    labels = _new_labels(real, kept) if config.label == "new" else _real_labels(real, generated, kept)
    if config.label == "same" and config.unjudged == "refuse":
        _check_judged(kept, generated)
    added = _take(kept.rows.with_columns(pid=pl.Series(labels, dtype=pl.Int64)), generated, config)
    table = ReidTable.concat([real, replace(kept, rows=added)])
    if out is None:
        return table
    check_apart(out, [*real.rows["root"].unique(), *generated.rows["root"].unique()])
    inputs = {**_inputs(real, generated), **({} if crops == "link" else {"crops": crops})}
    with RunFolder.begin(out, stage="extend", config=config, inputs=inputs) as run:
        if run.done:
            return ReidTable.read(out)
        written = table.write(out, crops=crops)
        left_out = others if config.label == "same" else 0
        run.finish({**_summary(real, added), "left_out_as_other_people": left_out})
    return written


def _kept(real: ReidTable, generated: ReidTable) -> ReidTable:
    if not len(real.train):
        raise DataError(
            f"The table {real.name} has no train crops to add to.",
            got=f"{len(real):,} crops, none in the train split",
            allowed="at least one train crop",
            fix="reidgen prepare ... --out DIR, and that folder here",
        )
    kept = generated.train.kept
    if not len(kept):
        raise DataError(
            f"The table {generated.name} has no crops to add.",
            got=f"{len(generated):,} crops, {len(generated.train):,} of them in the train split, none of those kept",
            allowed="at least one train crop that no filter has rejected",
            fix=f"a lower {option('ssim_threshold')} in reidgen filter",
        )
    recorded = (kept.rows["origin"] == "real").sum()
    if recorded:
        raise DataError(
            f"The table {generated.name} holds crops of real people, and extend adds generated ones.",
            got=f"{recorded:,} of {len(kept):,} crops with origin real",
            allowed="crops with origin generated or rendered",
            fix=f"{option('real')} with the real crops, {option('generated')} with the generated ones; "
            "those of another program with origin generated: reidgen prepare ... --origin generated",
        )
    return kept


def _others(kept: ReidTable) -> pl.Series:
    """Which crops say of themselves that they do not count as the person of their parent."""
    if "identity" not in kept.rows.columns:
        return pl.repeat(False, len(kept), dtype=pl.Boolean, eager=True)
    return (kept.rows["identity"] == "new").fill_null(False)


def _same_people(kept: ReidTable, generated: ReidTable) -> ReidTable:
    """The crops that keep the label of the real person they were made of."""
    same = kept.where(~_others(kept))
    if not len(same):
        raise DataError(
            f"The table {generated.name} has no crops that keep a label.",
            got=f"{len(kept):,} kept crops, all with identity new",
            allowed='crops with identity "keep"',
            fix=f"reidgen generate variants with another {option('mix')} or {option('keeps')}, or "
            f"{option(label='new')}",
        )
    return same


def _check_judged(kept: ReidTable, generated: ReidTable) -> None:
    """Make sure that whoever gets a real person's label has been compared with that person."""
    judged = "score_identity" in kept.rows.columns
    lacking = kept.rows["score_identity"].null_count() if judged else len(kept)
    if lacking:
        raise ConfigError(
            f'{option("label")} "same" needs crops that the identity filter has judged.',
            got=f"{lacking:,} of {len(kept):,} crops of {generated.name} without score_identity",
            allowed=f"a table that has gone through reidgen filter --filters identity; or {option(unjudged='allow')}",
            fix="reidgen filter --data GENERATED --reference REAL --filters identity --reid RUN --out FILTERED, and "
            f"{option(generated='FILTERED')}; RUN is a train-reid on real crops",
        )


def _new_labels(real: ReidTable, kept: ReidTable) -> list[int]:
    """A contiguous pid above all real ones for each generated person, in table order."""
    start = max(int(real.pids.max()), 0) + 1
    numbers: dict[int, int] = {}
    return [start + numbers.setdefault(pid, len(numbers)) for pid in kept.pids.tolist()]


def _real_labels(real: ReidTable, generated: ReidTable, kept: ReidTable) -> list[int]:
    """The pid of the real train crop that each kept crop's parents lead to."""
    pids = dict(real.train.rows.select("file_name", "pid").iter_rows())
    parents = dict(generated.rows.select("file_name", "parent").iter_rows())
    ends = [end_of_chain(name, parents) for name in kept.rows["file_name"]]
    strays = [(name, end) for name, end in zip(kept.rows["file_name"], ends, strict=True) if end not in pids]
    if strays:
        name, end = strays[0]
        raise ConfigError(
            f'{option("label")} "same" needs generated crops of real people.',
            got=f"{len(strays):,} of {len(kept):,} crops do not lead to a crop of {real.name}'s train split, "
            f"such as {name} (parent: {end or 'none'})",
            allowed="crops whose parents end at a real train crop",
            fix=option(label="new"),
        )
    return [pids[end] for end in ends if end is not None]


def _take(rows: pl.DataFrame, generated: ReidTable, config: ExtendConfig) -> pl.DataFrame:
    """The first crops of the first people, ready to stand beside real rows."""
    pids = rows["pid"].unique(maintain_order=True)
    if config.people is not None and config.people > len(pids):
        raise ConfigError(
            f"{option('people')} asks for more generated people than there are.",
            got=config.people,
            allowed=f"0 to {len(pids)}: the people of {generated.name} with a kept crop",
            fix=f"{option(people=len(pids))}, or reidgen generate people --people {config.people}",
        )
    chosen = set(pids if config.people is None else pids.head(config.people))
    rows = rows.filter(pl.Series([pid in chosen for pid in rows["pid"]], dtype=pl.Boolean))
    if config.crops_per_person is not None:
        rows = rows.filter(pl.int_range(pl.len()).over("pid") < config.crops_per_person)
    return rows.with_columns(parent=pl.Series(_qualified(rows, generated), dtype=pl.String))


def _qualified(rows: pl.DataFrame, generated: ReidTable) -> list[str | None]:
    """Parents, with the generated table's name before those that are crops of it and are not added."""
    left_out = set(generated.rows["file_name"]) - set(rows["file_name"])
    return [f"{generated.name}:{parent}" if parent in left_out else parent for parent in rows["parent"]]


def _inputs(real: ReidTable, generated: ReidTable) -> dict[str, str]:
    verdicts: Sequence[str | None] = [None] * len(generated)
    if "rejected_by" in generated.rows.columns:
        verdicts = generated.rows["rejected_by"].to_list()
    identities = generated.rows["identity"].to_list() if "identity" in generated.rows.columns else []
    return {
        "real": real.hash(),
        "generated": generated.hash(),
        "verdicts": sha256(f"{verdict or ''}\n".encode() for verdict in verdicts),
        **({"identities": sha256(f"{word or ''}\n".encode() for word in identities)} if identities else {}),
    }


def _summary(real: ReidTable, added: pl.DataFrame) -> dict[str, Any]:
    crops = len(real.train) + added.height
    return {
        "real_train_crops": len(real.train),
        "real_train_people": real.train.rows["pid"].n_unique(),
        "added_crops": added.height,
        "added_people": added["pid"].n_unique(),
        "generated_share": added.height / crops,
        "cameras_of_added_crops_alone": sorted(set(added["camid"]) - set(real.camids.tolist())),
    }
