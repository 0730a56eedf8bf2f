"""Dataclasses read back from files: each field is checked against its type, once, here."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import InputError

__all__ = ["from_stored", "has_type", "short"]

T = TypeVar("T")
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false",
         tuple[int, ...]: "a list of whole numbers", tuple[str, ...]: "a list of texts",
         types.NoneType: "null"}


def has_type(value: Any, wanted: Any) -> bool:
    """Whether a value from JSON can stand for an annotation, such as `tuple[int, ...] | None`."""
    kind, inside = get_origin(wanted), get_args(wanted)
    if kind in (Union, types.UnionType):
        return any(has_type(value, one) for one in inside)
    if kind in (list, tuple):
        return isinstance(value, (list, tuple)) and all(has_type(item, inside[0]) for item in value)
    if kind is dict:
        return isinstance(value, dict) and all(has_type(item, inside[1]) for item in value.values())
    if wanted is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return type(value) is wanted


def from_stored(cls: type[T], stored: Any) -> T:
    """The dataclass whose fields are `stored`, an object from JSON.

    Raises InputError, naming the field, if one is missing, unknown or of another type.
    """
    if not isinstance(stored, Mapping):
        raise InputError("it holds no named values")
    unknown = sorted(set(stored) - {field.name for field in fields(cls)})  # type: ignore[arg-type]
    if unknown:
        raise InputError(f"{unknown[0]!r} is unknown")
    values, hints = {}, get_type_hints(cls)
    for field in fields(cls):  # type: ignore[arg-type]
        name, wanted = field.name, hints[field.name]
        if name not in stored:
            raise InputError(f"no {name!r} in it")
        value = stored[name]
        if not has_type(value, wanted):
            words = " or ".join(WORDS.get(one, str(one)) for one in
                                (get_args(wanted) if has_type(None, wanted) else [wanted]))
            raise InputError(f"{name} is {short(value)}; it must be {words}")
        values[name] = tuple(value) if get_origin(wanted) is tuple else value
    return cls(**values)


def short(value: Any) -> str:
    """A value for a message, cut if it is long."""
    try:
        text = repr(value)
    except RecursionError:
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
