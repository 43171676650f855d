"""Reading gpus.toml and features.toml: each value is asked for by name and type, so a slip is named, not guessed at."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

# Errors of this package, and who must act:
#   CatalogueError   the tables contradict themselves or lack a value: whoever edited them
#   UnknownName      no such card, feature or group: the user, who is shown the nearest names


class CatalogueError(ValueError):
    """A table of this package is wrong; says file, row and key."""


class UnknownName(LookupError):
    """No card, feature or group has this name. `choices` are all of them, `nearest` the closest, best first."""

    def __init__(self, kind: str, name: str, choices: list[str], nearest: list[str], hint: str) -> None:
        self.kind, self.name, self.choices, self.nearest = kind, name, choices, nearest
        near = f" Nearest: {', '.join(nearest)}." if nearest else ""
        super().__init__(f"unknown {kind} {name!r}.{near} {hint}")


class Row:
    """One table of a TOML file. Each accessor checks the type; `done` refuses keys that nobody asked for."""

    def __init__(self, where: str, data: object) -> None:
        if not isinstance(data, dict):
            raise CatalogueError(f"{where} must be a table")
        self.where = where
        self._data: dict[str, Any] = data
        self._read: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def _get(self, key: str) -> Any:
        self._read.add(key)
        return self._data.get(key)

    def _fail(self, key: str, wanted: str) -> CatalogueError:
        value = self._data.get(key)
        found = "is missing" if value is None else f"is {value!r}"
        return CatalogueError(f"{self.where}: {key} {found}; it must be {wanted}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value:
            raise self._fail(key, "a text")
        return value

    def number(self, key: str, zero: bool = False) -> float | None:
        """A positive number, or None where it is absent: an unknown figure is never 0. `zero`: 0 says "has none"."""
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or (value == 0 and not zero):
            raise self._fail(key, "a number above 0, or absent")
        return float(value)

    def table(self, key: str) -> Row | None:
        """The table within this one, or None where it is absent."""
        value = self._get(key)
        return None if value is None else Row(f"{self.where}.{key}", value)

    def whole(self, key: str, least: int = 1) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._fail(key, f"a whole number of {least} or more")
        return value

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self._fail(key, "true or false")
        return value

    def texts(self, key: str, required: bool = False) -> tuple[str, ...]:
        value = self._get(key)
        if value is None and not required:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._fail(key, "a list of texts")
        return tuple(value)

    def numbers(self, key: str) -> Mapping[str, float]:
        value = self._get(key)
        if value is None:
            return MappingProxyType({})
        row = Row(f"{self.where}.{key}", value)
        return MappingProxyType({name: _present(row.number(name)) for name in value})

    def named_texts(self, key: str) -> Mapping[str, str]:
        value = self._get(key)
        if value is None:
            return MappingProxyType({})
        row = Row(f"{self.where}.{key}", value)
        return MappingProxyType({name: row.text(name) for name in value})

    def named_lists(self, key: str) -> Mapping[str, tuple[str, ...]]:
        row = self.table(key)
        return MappingProxyType({} if row is None else {name: row.texts(name, required=True) for name in row})

    def done(self) -> None:
        extra = sorted(set(self._data) - self._read)
        if extra:
            raise CatalogueError(f"{self.where}: unknown key {extra[0]}")


def _present(value: float | None) -> float:
    assert value is not None
    return value


@cache
def read(name: str) -> Mapping[str, Any]:
    """The parsed file `name` of this package. CatalogueError if it is no TOML."""
    try:
        return MappingProxyType(tomllib.loads((files(__package__) / name).read_text("utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{name}: {error}") from None


def rows(name: str, table: str) -> dict[str, Row]:
    """The tables [table.KEY] of file `name` by KEY, in order of the file."""
    found = read(name).get(table)
    if not isinstance(found, dict) or not found:
        raise CatalogueError(f"{name}: there is no [{table}.*]")
    return {key: Row(f"{name}: [{table}.{key}]", value) for key, value in found.items()}


def entries(name: str, array: str) -> list[Row]:
    """The tables of the array [[array]] of file `name`, in order of the file."""
    found = read(name).get(array)
    if not isinstance(found, list) or not found:
        raise CatalogueError(f"{name}: there is no [[{array}]]")
    return [Row(f"{name}: [[{array}]] number {i}", value) for i, value in enumerate(found, 1)]


def capability(cc: str) -> tuple[int, int]:
    """Compute capability as numbers, for ordering: "8.6" -> (8, 6). ValueError for another text."""
    major, dot, minor = cc.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal()):
        raise ValueError(f"{cc!r} is no compute capability such as 8.6")
    return int(major), int(minor)
