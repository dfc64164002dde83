"""Configuration files: TOML into a described, typed structure. What is unknown or ill-typed stops the start."""

import re
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

_Settings = TypeVar("_Settings")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")
_AT = re.compile(r" - at `\$(?P<path>[^`]*)`")
_NAME = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")


class ConfigurationError(Exception):
    """A configuration file that cannot be used; the text names file, line, what was seen and the remedy."""


def read(path: Path, settings: type[_Settings]) -> _Settings:
    """Return the settings in `path`.

    Raises:
        ConfigurationError: the file is missing, is not TOML, or has an unknown key or a value of the wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error}); name another with --config") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not TOML: {error}; mend that line") from error
    try:
        return msgspec.convert(tree, settings, dec_hook=_convert_path)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_explain(path, text, str(error))) from error


def _explain(path: Path, text: str, problem: str) -> str:
    where = [name or index for name, index in _NAME.findall(found["path"])] if (found := _AT.search(problem)) else []
    if unknown := _UNKNOWN.match(problem):
        keys, remedy = [*where, unknown["field"]], "remove it or correct its spelling (--help lists all keys)"
        said = f"unknown key {'.'.join(keys)!r}"
    else:
        keys, remedy = where, "correct the value"
        said = f"{'.'.join(keys) or 'the file'}: {_AT.sub('', problem)}"
    line = _line_of(text, keys)
    return f"{path}{f', line {line}' if line else ''}: {said}; {remedy}"


def _line_of(text: str, keys: list[str]) -> int | None:
    """Return the line on which the last of `keys` is set, or its table begins. The tables of an array are counted."""
    table: list[str] = []
    begun: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if header := re.match(r"(\[\[?)\s*([^\]]+?)\s*\]", stripped):
            table = [part.strip().strip('"') for part in header[2].split(".")]
            if header[1] == "[[":
                table.append(str(begun.setdefault(header[2], 0)))
                begun[header[2]] += 1
            if table == keys:
                return number
        elif (entry := re.match(r'"?([A-Za-z0-9_-]+)"?\s*=', stripped)) and [*table, entry[1]] == keys:
            return number
    return _line_of(text, keys[:-1]) if len(keys) > 1 else None


def _convert_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
