"""HTML as nested calls: every string that is not markup already is escaped."""

import base64
from collections.abc import Iterable
from html import escape
from typing import Any

VOID = {"br", "col", "hr", "img", "meta"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element; `class_` gives class, underscores in other names become hyphens, None leaves an attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        assert not children, name
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Markup:
    """Children one after the other: markup as it is, lists in order, None left out, anything else escaped."""
    return Markup("".join(_child(child) for child in children))


def _child(child: Any) -> str:
    if isinstance(child, Markup):
        return child
    if isinstance(child, (list, tuple)):
        return join(child)
    return "" if child is None else escape(str(child), quote=False)


def table(
    head: list[Any], rows: Iterable[list[Any]], *, words: int = 1, rule: int | None = None, class_: str | None = None
) -> Markup:
    """A table in a box that scrolls on a narrow screen.

    Args:
        head: Column titles.
        rows: Cells; the first is the row's title.
        words: How many columns from the left hold words; the others hold numbers, which are set right.
        rule: Number of rows above a stronger line; None draws none.
        class_: Class of the table.
    """

    def cells(kind: str, row: list[Any]) -> list[Markup]:
        return [
            tag(
                "th" if i == 0 and kind == "td" else kind,
                cell,
                class_=None if i < words else "number",
                scope=_scope(i, kind),
            )
            for i, cell in enumerate(row)
        ]

    body = [tag("tr", cells("td", row), class_="ruled" if i == rule else None) for i, row in enumerate(rows)]
    inner = tag("table", tag("thead", tag("tr", cells("th", head))), tag("tbody", body), class_=class_)
    return tag("div", inner, class_="scroll", tabindex="0")


def _scope(column: int, kind: str) -> str | None:
    return "col" if kind == "th" else "row" if column == 0 else None


def section(title: str, *children: Any) -> Markup:
    """A part of the page with its heading."""
    return tag("section", tag("h2", title), *children)


def prose(text: str) -> Markup:
    """Text in which what stands between backticks is code."""
    parts = text.split("`")
    return join(tag("code", part) if i % 2 else part for i, part in enumerate(parts))


def soft(*children: Any) -> Markup:
    """A paragraph in a quiet colour."""
    return tag("p", *children, class_="soft")


def note(text: str | None) -> Markup | None:
    """A paragraph in a quiet colour and small; None of nothing."""
    return soft(tag("small", text)) if text else None


def details(title: str, *children: Any) -> Markup:
    """A folded section, which opens without a script and in print."""
    return tag("details", tag("summary", title), *children)


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as the address of an image; kind is such as `image/jpeg`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
