"""Write docs/reference from the docstrings of the public names, a page a topic.

`python docs/make_reference.py`; a test holds the pages against what this writes.
"""

import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from docstring_parser import Docstring, DocstringStyle, parse

import reidgen
import reidgen.data.schema
import reidgen.metrics

FOLDER = Path(__file__).with_name("reference")
UNDESCRIBED = {
    "__version__",
    "metrics",
    "SHIPPED_GENERATOR",
    "GeneratorConfig",
    "Preset",
    "TranslatorPreset",
    "Precision",
}
METRICS = " ".join(f"reidgen.metrics.{name}" for name in reidgen.metrics.__all__)
TOPICS: dict[str, tuple[str, str]] = {
    "tables": (
        "Tables: read, rendered, annotated, extended",
        "load_dataset prepare PrepareConfig audit ReidTable CropStore render_people RenderConfig annotate"
        " AnnotateConfig write_pairs PairsConfig extend run_extend ExtendConfig",
    ),
    "generators": (
        "Generators and new people",
        "train_generator StyleGANConfig DCGANConfig generator_preset with_shape_of load_generator TrainedGenerator"
        " convert_weights ConvertConfig generate_people GenerateConfig regenerate generate_grid GridConfig"
        " generate_video WalkConfig",
    ),
    "inversion": (
        "Real people in a generator",
        "train_encoder EncoderConfig load_encoder load_start TrainedEncoder Likeness LikenessConfig load_likeness"
        " compare_inversions InversionConfig Inversions generate_variants VariantsConfig",
    ),
    "translators": (
        "Translators: people in another camera",
        "train_translator train_translators TranslatorConfig load_translator load_translators TrainedTranslator"
        " translate TranslateConfig",
    ),
    "rotators": (
        "Rotators: people from another side",
        "train_rotator RotatorConfig load_rotator TrainedRotator rotate RotateConfig",
    ),
    "filters": (
        "Filters",
        "apply_filters run_filters FilterConfig DetectorFilter SSIMFilter IdentityFilter RealismFilter"
        " DiversityFilter CopiesFilter",
    ),
    "reid": (
        "Re-ID with labels",
        "train_reid ReidConfig AugmentConfig with_recipe load_reid load_frozen_reid ReidModel export_onnx ExportConfig"
        " reidgen.losses.reid.soft_labels.soft_targets reidgen.losses.reid.soft_labels.ranked"
        " reidgen.losses.reid.soft_labels.soft_cross_entropy",
    ),
    "unsupervised": ("Re-ID without labels", "train_unsupervised UnsupervisedConfig"),
    "metrics": (
        "Ranking and metrics",
        "evaluate_reid EvaluateConfig Result search_gallery GallerySearchConfig measure_fidelity FidelityConfig"
        f" Fidelity {METRICS}",
    ),
    "sweeps": (
        "Sweeps and reports",
        "sweep SweepConfig SweepResult worth Spread difference write_report ReportConfig write_sweep_report",
    ),
    "networks": (
        "Networks",
        "reidgen.models.stylegan2.Generator reidgen.models.stylegan2.Discriminator reidgen.models.stylegan3.Generator"
        " reidgen.models.resnet.ResNet reidgen.models.reid.embedder.Embedder",
    ),
}
ERRORS = "ReidgenError ConfigError DataError RunError TrainingError WeightsError MissingExtraError"
WRITTEN = "Written from the docstrings by `python docs/make_reference.py`.\n"


def render() -> dict[str, str]:
    """The pages as Markdown, by file name."""
    described = {name for names in (ERRORS, *(names for _, names in TOPICS.values())) for name in names.split()}
    missing = {*reidgen.__all__} - UNDESCRIBED - described
    assert not missing, f"names without a topic: {missing}"
    pages = {
        f"{stem}.md": f"# {title}\n\n{WRITTEN}{''.join(map(entry, names.split()))}"
        for stem, (title, names) in TOPICS.items()
    }
    pages["tables.md"] += columns()
    return {"README.md": contents(), **pages}


def contents() -> str:
    """The first page: topics, and the errors that all of them share."""
    rows = [(f"[{title}]({stem}.md)", listed(names)) for stem, (title, names) in TOPICS.items()]
    return (
        f"# Reference\n\n{WRITTEN}\n`rg` is `import reidgen as rg`. The options of commands stand behind `--help`.\n\n"
        f"{table(('topic', 'names'), rows)}\n## Errors\n{''.join(map(entry, ERRORS.split()))}"
    )


def listed(names: str) -> str:
    """Names for a cell of the first page; of names in modules the last part."""
    return ", ".join(f"`{name.rpartition('.')[2]}`" for name in names.split())


def columns() -> str:
    """The optional columns of a table."""
    known = {**reidgen.data.schema.OPTIONAL, "score_NAME": reidgen.data.schema.SCORES}
    rows = [(f"`{name}`", str(one.type), one.meaning, one.writers) for name, one in known.items()]
    return "\n## Optional columns of a table\n\n" + table(("column", "type", "what it says", "written by"), rows)


def entry(name: str) -> str:
    """One function or class: how it is called, what its docstring says, and the same of a class's methods."""
    module, _, last = name.rpartition(".")
    member = getattr(importlib.import_module(module or "reidgen"), last)
    shown = name if module else f"rg.{name}"
    text = f"\n## {shown}\n\n{call(shown, member)}{described(member)}"
    if isinstance(member, type) and not name.endswith("Config"):
        text += "".join(
            f"\n### {shown}.{one}\n\n{call(f'{shown}.{one}', made)}{described(made)}" for one, made in methods(member)
        )
    return text


def methods(member: type) -> list[tuple[str, Any]]:
    """Public methods and properties that a class defines itself and describes."""
    found = [(name, inspect.unwrap(getattr(made, "__func__", made))) for name, made in vars(member).items()]
    return [
        (name, made)
        for name, made in found
        if not name.startswith("_")
        and (inspect.isfunction(made) or isinstance(made, property))
        and (made.__doc__ or "").strip()
    ]


def call(name: str, member: Any) -> str:
    """How it is called: names and defaults of the parameters, without types."""
    if isinstance(member, property):
        return f"```text\n{name}\n```\n\n"
    if dataclasses.is_dataclass(member):
        return f"```text\n{name}(...)\n```\n\n"
    given = inspect.signature(member).parameters.values()
    shown = [
        one.replace(annotation=inspect.Parameter.empty, default=Whole(one.default))
        if dataclasses.is_dataclass(one.default)
        else one.replace(annotation=inspect.Parameter.empty)
        for one in given
        if one.name not in ("self", "cls")
    ]
    return f"```text\n{name}{inspect.Signature(shown)}\n```\n\n"


class Whole:
    """A config as a default, without its options: these have a table of their own."""

    def __init__(self, config: Any) -> None:
        self.name = type(config).__name__

    def __repr__(self) -> str:
        """The call that makes it."""
        return f"{self.name}()"


def described(member: Any) -> str:
    """A docstring as Markdown, and those of the parts that a config or a filter is made of."""
    text = documented(member, member)
    for part in parts(member):
        text += "\n" + documented(part, member)
    return text


def documented(member: Any, owner: Any) -> str:
    """One docstring as Markdown; the options of `owner` have their defaults."""
    text, mark, example = (inspect.getdoc(member) or "").partition(">>> ")
    said = parse(text, DocstringStyle.GOOGLE)
    body = f"{plain(said.description or '')}\n{options(said, owner)}{parameters(said)}{outcome(said)}"
    return body + (f"\n```pycon\n{mark}{example}\n```\n" if example else "")


def options(said: Docstring, owner: Any) -> str:
    """The attributes: with defaults where the owner is a config or a filter that is given them."""
    attributes = {one.arg_name: cell(one.description) for one in said.params if one.args[0] == "attribute"}
    if not attributes:
        return ""
    fields = {field.name: field for field in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else {}
    if owner.__name__.endswith(("Config", "Filter")):
        rows = [(f"`{name}`", default(fields.get(name)), text) for name, text in attributes.items()]
        return "\n" + table(("option", "default", "what it is"), rows)
    return "\n" + table(("attribute", "what it is"), [(f"`{name}`", text) for name, text in attributes.items()])


def parameters(said: Docstring) -> str:
    """The parameters of a function."""
    given = [(f"`{one.arg_name}`", cell(one.description)) for one in said.params if one.args[0] != "attribute"]
    return "\n" + table(("parameter", "what it is"), given) if given else ""


def outcome(said: Docstring) -> str:
    """What comes back, and the errors."""
    parts = [f"\n**Returns:** {cell(said.returns.description)}\n"] if said.returns else []
    if said.raises:
        parts.append(
            "\n**Raises**\n\n" + "".join(f"- `{one.type_name}`: {cell(one.description)}\n" for one in said.raises)
        )
    return "".join(parts)


def parts(member: Any) -> list[type]:
    """The parts that a config or a filter is made of, whose docstrings describe the rest of its options."""
    bases = member.__mro__[1:] if isinstance(member, type) and member.__name__.endswith(("Config", "Filter")) else ()
    return [one for one in bases if dataclasses.is_dataclass(one) and dataclasses.fields(one)]


def default(field: "dataclasses.Field[Any] | None") -> str:
    """A field's default, for a cell."""
    if field is None:
        return "set by itself"
    if field.default is dataclasses.MISSING:
        return "needed" if field.default_factory is dataclasses.MISSING else "those of its own config"
    return f"`{field.default}`".replace("|", "\\|")


def plain(text: str) -> str:
    """Text of a docstring for Markdown: an angle bracket outside of code opens no tag."""
    return re.sub(r"(`[^`]*`)|<", lambda found: found[1] or "&lt;", text)


def cell(text: str | None) -> str:
    """Text of a docstring on one line of a table."""
    return " ".join(plain(text or "").split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in render().items():
        (FOLDER / name).write_text(text)
