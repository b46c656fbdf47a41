"""Which class is behind a name, a dotted path or a URL? A file in this package is a provider."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, TypeGuard
from urllib.parse import parse_qsl, unquote, urlsplit

from .base import Provider

LOCAL = ("console", "file", "memory", "dummy")
"""The providers of `local`, for trying things."""

OTHER_FILES = ("base", "local", "reading", "registry")
NETWORKED = tuple(sorted({each.name for each in iter_modules([str(Path(__file__).parent)])} - {*OTHER_FILES}))
"""One file of this package each; the file's name is the provider's, and the scheme of its URL."""

KNOWN = (*NETWORKED, *LOCAL)

Given = Provider | str | Mapping[str, Any]
"""A provider as people give it: the object, a URL, a class's name or dotted path, {"BACKEND", "OPTIONS"} or {"URL"}."""


def provider(given: Given, *, webhook_url: str = "") -> Provider:
    """The provider that is meant, whichever way it was given.

    `webhook_url` is where its reports come in, for a provider that takes such an option and was given none. Raises
    `ImportError` for what names no provider, `ValueError` for options or a URL that do not fit.
    """
    match given:
        case Provider():
            return given
        case str() if ":" in given:
            return from_url(given, webhook_url=webhook_url)
        case str():
            return load(given, webhook_url=webhook_url)
        case {"URL": str(url)}:
            return from_url(url, webhook_url=webhook_url)
        case {"PROVIDER": Provider() as made}:
            return made
        case {"BACKEND": str(backend)}:
            return load(backend, given.get("OPTIONS"), webhook_url=webhook_url)
    raise ImportError('a provider is a URL, an object, the path of a class, or {"BACKEND": path, "OPTIONS": {…}}')


def load(backend: str, options: Mapping[str, Any] | None = None, *, webhook_url: str = "") -> Provider:
    """A provider from its name or the dotted path of its class, and its options, as settings give them.

    Raises `ImportError` for a path that leads to no provider, `ValueError` for options that it does not take.
    """
    return _made(find(backend), dict(options or {}), webhook_url)


def find(backend: str) -> type[Provider]:
    """The class behind a name or a dotted path. Raises `ImportError`."""
    if backend in KNOWN:
        module = import_module(f"{__package__}.{'local' if backend in LOCAL else backend}")
        return next(each for each in vars(module).values() if _is_provider(each) and each.name == backend)
    module_name, _, class_name = backend.rpartition(".")
    try:
        cls = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImportError(
            f"No provider class at {backend!r}; write package.module.Class, or one of: {', '.join(KNOWN)}"
        ) from error
    if not _is_provider(cls):
        raise ImportError(f"{backend!r} is no provider class: it does not inherit from paceline's Provider")
    return cls


def _is_provider(value: object) -> TypeGuard[type[Provider]]:
    return isinstance(value, type) and issubclass(value, Provider) and hasattr(value, "name")


def from_url(url: str, *, webhook_url: str = "") -> Provider:
    """A provider from one line, such as `vonage://KEY:SECRET@` or `twilio://SID:TOKEN@?webhook_url=https://…`.

        NAME://USER:PASSWORD@HOST?option=value

    User and password are the options that the provider's `credentials` name, the host (when there is one) becomes its
    `base_url`, the query any further options; `%` escapes what has a meaning in a URL. `NAME+http` speaks plain HTTP
    with the host, for a sandbox. `file:/path` names its path. `webhook_url` as for `load`. Raises `ValueError` (never
    quoting the URL, which holds secrets) for what cannot be read or does not fit.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("A provider URL reads NAME://USER:PASSWORD@HOST?option=value; this one does not") from None
    name, _, plain = parts.scheme.partition("+")
    if name not in KNOWN:
        called = repr(name) if name.isalpha() else "that"  # anything else might be half a secret
        raise ValueError(f"No provider is called {called} (known: {', '.join(KNOWN)}); write NAME://USER:PASSWORD@")
    cls = find(name)
    options: dict[str, Any] = dict(query)
    for option, value in zip(cls.credentials, (parts.username, parts.password), strict=True):
        if value and not option:
            raise ValueError(f"A {name} URL takes no user or password")
        if value:
            options[option] = unquote(value)
    if host:
        shown = f"[{host}]" if ":" in host else host
        options["base_url"] = f"{'http' if plain == 'http' else 'https'}://{shown}{port}{parts.path.rstrip('/')}"
    elif name == "file":
        options["path"] = unquote(parts.path)
    return _made(cls, options, webhook_url)


def _made(cls: type[Provider], options: dict[str, Any], webhook_url: str) -> Provider:
    known = signature(cls).parameters
    if webhook_url and "webhook_url" in known:
        options.setdefault("webhook_url", webhook_url)
    try:
        return cls(**options)
    except TypeError as error:
        unknown = [repr(name) for name in options if name not in known]
        about = f"takes no option {unknown[0]}" if unknown else str(error).partition("__init__() ")[2]
        raise ValueError(
            f"{cls.__name__}: {about or 'the options do not fit'}; its options are: {', '.join(known) or 'none'}"
        ) from None
