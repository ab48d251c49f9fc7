"""Write docs/reference.md from the docstrings of the public names.

`python docs/make_reference.py`; a test holds the page against what this writes.
"""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import reidgen
import reidgen.data.schema
import reidgen.losses.reid.soft_labels
import reidgen.metrics
import reidgen.models.reid.embedder
import reidgen.models.resnet
import reidgen.models.stylegan.discriminator
import reidgen.models.stylegan2
import reidgen.models.stylegan3

UNDESCRIBED = {
    "__version__",
    "metrics",
    "SHIPPED_GENERATOR",
    "GeneratorConfig",
    "Preset",
    "TranslatorPreset",
    "Precision",
}
PAGE = Path(__file__).with_name("reference.md")
SECTIONS: dict[str, dict[str, Any]] = {
    "`import reidgen as rg`": {
        f"rg.{name}": getattr(reidgen, name) for name in reidgen.__all__ if name not in UNDESCRIBED
    },
    "Metrics, on arrays": {
        f"reidgen.metrics.{name}": getattr(reidgen.metrics, name) for name in reidgen.metrics.__all__
    },
    "Label policies of generated crops": {
        f"reidgen.losses.reid.soft_labels.{name}": getattr(reidgen.losses.reid.soft_labels, name)
        for name in ("soft_targets", "ranked", "soft_cross_entropy")
    },
    "Networks": {
        "reidgen.models.stylegan2.Generator": reidgen.models.stylegan2.Generator,
        "reidgen.models.stylegan2.Discriminator": reidgen.models.stylegan2.Discriminator,
        "reidgen.models.stylegan3.Generator": reidgen.models.stylegan3.Generator,
        "reidgen.models.resnet.ResNet": reidgen.models.resnet.ResNet,
        "reidgen.models.reid.embedder.Embedder": reidgen.models.reid.embedder.Embedder,
    },
}


def render() -> str:
    """The whole page as Markdown."""
    parts = ["# Reference\n\nWritten from the docstrings by `python docs/make_reference.py`.\n"]
    for title, members in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        parts += [entry(name, member) for name, member in members.items()]
    return "".join([*parts, columns()])


def columns() -> str:
    """The optional columns of a table."""
    known = {**reidgen.data.schema.OPTIONAL, "score_NAME": reidgen.data.schema.SCORES}
    lines = [f"| `{name}` | {one.type} | {one.meaning} | {one.writers} |\n" for name, one in known.items()]
    return (
        "\n## Optional columns of a table\n\n| column | type | what it says | written by |\n|---|---|---|---|\n"
        + "".join(lines)
    )


def entry(name: str, member: Any) -> str:
    """One function or class: how it is called, and its docstring."""
    call = "(...)" if dataclasses.is_dataclass(member) else signature(member)
    lines = [f"\n### {name}\n\n```text\n{name}{call}\n```\n\n"]
    lines += [f"```text\n{inspect.getdoc(one)}\n```\n" for one in (member, *parts(member))]
    if dataclasses.is_dataclass(member) and name.endswith("Config"):
        lines.append("\n| option | default |\n|---|---|\n")
        lines += [f"| `{field.name}` | `{default(field)}` |\n" for field in dataclasses.fields(member)]
    return "".join(lines)


def parts(member: Any) -> list[type]:
    """The parts that a config or a filter is made of, whose docstrings describe the rest of its options."""
    bases = member.__mro__[1:] if isinstance(member, type) and member.__name__.endswith(("Config", "Filter")) else ()
    return [one for one in bases if dataclasses.is_dataclass(one) and dataclasses.fields(one)]


def signature(member: Any) -> str:
    """Names and defaults of the parameters, without types."""
    given = inspect.signature(member).parameters.values()
    shown = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in given]
    return str(inspect.Signature(shown))


def default(field: "dataclasses.Field[Any]") -> Any:
    """A field's default."""
    return field.default if field.default is not dataclasses.MISSING else "a default of its own"


if __name__ == "__main__":
    PAGE.write_text(render())
