"""The files with facts in run folders: read whole and of the right types, or told in one line."""

import dataclasses
import json
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from reidgen.errors import RunError, option
from reidgen.files import read_regular, sha256, write_json

Fields = Mapping[str, type | tuple[type, ...]]
NUMBER = (int, float)
CHECKSUM = "content_sha256"  # of the other fields


def write_checked(path: Path, values: Mapping[str, Any]) -> None:
    """Write an object as a JSON file with a checksum, which `read_json` looks at and takes out."""
    write_json(path, {**values, CHECKSUM: _hash(values)})


def _hash(values: Mapping[str, Any]) -> str:
    read_back = json.loads(json.dumps(values))  # keys are texts then, and sorted as such
    return sha256([json.dumps(read_back, sort_keys=True).encode()])


def read_json(path: Path, fields: Fields) -> dict[str, Any]:
    """Read a JSON file that a run wrote, an object with at least the given fields.

    One of an earlier version has no checksum and is taken unchecked.

    Args:
        path: The file.
        fields: Name and type, or types, of each field that has to be there.

    Raises:
        RunError: It is not there or cannot be read, is not UTF-8 or not JSON, a field is missing or of another type, or
            the checksum is not that of the values.
    """
    try:
        value = json.loads(read_regular(path).decode())
    except OSError as error:
        raise damaged(path, "no such file" if isinstance(error, FileNotFoundError) else error.strerror or "") from error
    except UnicodeDecodeError as error:
        raise damaged(path, f"no UTF-8 at byte {error.start:,}") from error
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from error
    check_fields(path, value, fields)
    own = value.pop(CHECKSUM, None)
    if own is not None and own != _hash(value):
        raise damaged(path, "other values than were written")
    return value


def read_values(path: Path, kind: type, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass from the JSON file that has them, beside its `schema_version`, and no others.

    Raises:
        RunError: As `read_json`, or there are others.
    """
    fields = fields_of(kind, without=without)
    values = read_json(path, fields)
    others = sorted(values.keys() - fields.keys() - {"schema_version"})
    if others:
        raise damaged(path, f"a field {others[0]}", ", ".join(fields))
    return {name: values[name] for name in fields}


def fields_of(kind: type, *, without: Collection[str] = ()) -> Fields:
    """The fields of a dataclass as they come back from JSON; those that may be of several types may be any."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.name not in without]
    return {name: _in_json(hints[name]) for name in names}


def _in_json(hint: Any) -> type | tuple[type, ...]:
    kind = typing.get_origin(hint) or hint
    if not isinstance(kind, type) or kind is types.UnionType:
        return object
    others: Fields = {"float": NUMBER, "tuple": list}
    return others.get(kind.__name__, kind)


def check_fields(path: Path, value: Any, fields: Fields, prefix: str = "") -> None:
    """Whether what was read from a JSON file has these fields, each of its type.

    Raises:
        RunError: It has not.
    """
    if not isinstance(value, dict):
        raise damaged(path, f"{prefix.rstrip('.') or 'the whole'} is {_kind(value)}", "an object")
    for name, kind in fields.items():
        if name not in value:
            raise damaged(path, f"no {prefix}{name}", f"an object with {', '.join(fields)}")
        if not _is_of(value[name], kind):
            raise damaged(path, f"{prefix}{name} is {_kind(value[name])}", "the type that was written")


def _is_of(value: Any, kind: type | tuple[type, ...]) -> bool:
    """As `isinstance`, but true and false are not numbers."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return isinstance(value, kinds) and (not isinstance(value, bool) or not {bool, object}.isdisjoint(kinds))


def damaged(path: Path, got: str, allowed: str = "the file as it was written") -> RunError:
    """The error of a run's file that is not what the run wrote."""
    fix = f"put the file back as it was, or make the run again in another {option('out')}"
    return RunError(f"{path} is damaged.", got=got, allowed=allowed, fix=fix)


def _kind(value: Any) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"
