"""The part of the page about a network from elsewhere: the file it was, its licence, and what was taken from it."""

from typing import Any

from reidgen.report.evidence import Evidence
from reidgen.report.folders import CONVERTED
from reidgen.report.html.markup import Markup, section, soft, table, tag


def conversion(evidence: Evidence) -> Markup | None:
    """The source file with its hash, its licence, and the tensors of each network."""
    run = evidence.only(CONVERTED)
    if run is None:
        return None
    facts, said = run.record["summary"], run.json("convert.json", {"generator": dict, "discriminator": dict})
    source, (height, width) = facts["source"], facts["size"]
    networks = {part: said[part] for part in ("generator", "discriminator")}
    left_out = [f"The {part} was left out: {one['left_out']}." for part, one in networks.items() if "left_out" in one]
    return section(
        "A network from elsewhere",
        tag(
            "p",
            f"{facts['network']} at {height}x{width}, from {source['file']} (SHA-256 ",
            tag("code", source["sha256"]),
            f"), its {'average' if source['taken'] == 'ema' else 'generator itself'}. Nobody knows whom it has seen.",
        ),
        soft(facts["licence"]),
        table(
            ["network", "tensors copied", "filters equal to ours, left out", "brought to float32"],
            [_counted(part, one) for part, one in networks.items() if "left_out" not in one],
        ),
        [soft(text) for text in left_out],
    )


def _counted(part: str, one: dict[str, Any]) -> list[Any]:
    return [part, *(f"{len(one[name]):,}" for name in ("copied", "constants", "to_float32"))]
