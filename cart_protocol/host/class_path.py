"""Class paths: a configuration names a callable of some other package, and we open it.

'package.module:callable?key=value&other=value' calls `callable(key="value", other="value")`. Values are always text;
characters that would end them ('&', '=', '%') are written as in addresses (RFC 3986, section 2.1: '%26').
"""

import importlib
import re
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote

from cart_protocol.host.configuration import ConfigurationError

_PATH = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(?:\?(?P<query>.*))?")


def is_class_path(text: str) -> bool:
    """Return whether `text` has the form of a class path; says nothing about whether it can be opened."""
    return _PATH.fullmatch(text) is not None


def open_class_path(path: str) -> object:
    """Return what the callable named by `path` returns.

    Raises:
        ConfigurationError: `path` is ill-formed, names nothing that can be imported and called, or gives arguments that
            the callable does not take. What the callable itself raises comes through unchanged.
    """
    if not (parts := _PATH.fullmatch(path)):
        raise ConfigurationError(f"{path!r} is no class path; write 'package.module:callable?key=value'")
    try:
        module = importlib.import_module(parts["module"])
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{path!r}: {error}; install the package that has it, or correct the name") from error
    opener = getattr(module, parts["name"], None)
    if not callable(opener):
        raise ConfigurationError(f"{path!r}: {parts['module']} has no callable {parts['name']!r}; correct the name")
    arguments = _arguments(path, parts["query"] or "")
    try:
        return cast("Callable[..., object]", opener)(**arguments)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # it was called, and failed inside
        raise ConfigurationError(f"{path!r}: {error}; correct the arguments after '?'") from error


def _arguments(path: str, query: str) -> dict[str, str]:
    arguments = dict[str, str]()
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier() or key in arguments:
            raise ConfigurationError(f"{path!r}: {pair!r} is no new key=value; write ?key=value&other=value")
        arguments[key] = unquote(value)
    return arguments
