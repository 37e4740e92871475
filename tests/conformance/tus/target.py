"""The server under test: where it is, what it demands, what it can do, where it is known to differ."""

import base64
import binascii
import importlib
import importlib.util
import os
import ssl
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

VERSION = "1.0.0"

MetadataHook = Callable[[bytes], str | None]
ReadBackHook = Callable[[str, bytes], bytes]


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a server says of itself in its answer to OPTIONS."""

    extensions: frozenset[str]
    checksum_algorithms: frozenset[str]
    max_size_bytes: int | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Capabilities":
        """Read the headers of an answer to OPTIONS; whether they are well-formed is for the tests to say."""
        max_size = headers.get("Tus-Max-Size", "").strip()
        return cls(
            extensions=frozenset(comma_list(headers.get("Tus-Extension", ""))),
            checksum_algorithms=frozenset(comma_list(headers.get("Tus-Checksum-Algorithm", ""))),
            max_size_bytes=int(max_size) if max_size.isascii() and max_size.isdigit() else None,
        )


@dataclass(frozen=True, kw_only=True)
class Target:
    """A tus server that the suite is pointed at.

    `url` is its creation URL, `headers` go with every request, `metadata` makes the Upload-Metadata that it demands for
    given bytes (None: it demands none), `read_back` reads what it stored for an upload URL (None: it cannot be read).
    Units: `patience_s` is how long any single answer may take, lock takeover included.
    """

    url: str
    headers: Mapping[str, str]
    metadata: MetadataHook
    read_back: ReadBackHook | None
    tls: ssl.SSLContext
    patience_s: float
    capabilities: Capabilities

    def require(self, extension: str) -> None:
        """Skip the running test when the server does not announce `extension`."""
        if extension not in self.capabilities.extensions:
            pytest.skip(f"the target does not announce the {extension} extension")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A place where a server is known not to do what a test asks."""

    test: str
    does: str
    why: str


def read_differences(file: Path) -> Sequence[Difference]:
    """Read a differences file: tables `[[difference]]` with the texts `test`, `does` and `why`.

    Raises: ValueError when the file has another form.
    """
    entries = tomllib.loads(file.read_text("utf-8")).get("difference", [])
    differences = []
    for entry in entries:
        if set(entry) != {"test", "does", "why"} or not all(isinstance(text, str) for text in entry.values()):
            raise ValueError(f"{file}: a difference has exactly the texts test, does and why, not {entry}")
        differences.append(Difference(**entry))
    return differences


def probe(url: str, *, headers: Mapping[str, str], tls: ssl.SSLContext, timeout_s: float) -> Capabilities:
    """Ask the server at `url` what it can do. Raises: httpx.HTTPError."""
    with httpx.Client(verify=tls, timeout=timeout_s, trust_env=False) as http:
        return Capabilities.of(http.options(url, headers=dict(headers)).headers)


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Trust the usual certificate authorities, and those in the PEM file `ca`."""
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    return context


def load_hook(name: str) -> Callable[..., Any]:
    """Load the callable that `package.module:name` or `path/to/file.py:name` points to.

    Raises: ValueError when there is none.
    """
    where, _, attribute = name.rpartition(":")
    if not where:
        raise ValueError(f"a hook is package.module:name or path/to/file.py:name, not {name!r}")
    if where.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        if spec is None or spec.loader is None:
            raise ValueError(f"{where} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(where)
    hook: Callable[..., Any] | None = getattr(module, attribute, None)
    if hook is None:
        raise ValueError(f"{where} has no {attribute!r}")
    return hook


def header_lines(text: str) -> dict[str, str]:
    """Read lines of the form `Name: value`. Raises: ValueError."""
    headers = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"a header is `Name: value`, not {line!r}")
        headers[name.strip()] = value.strip()
    return headers


def comma_list(value: str) -> list[str]:
    """Split a comma-separated header into its items."""
    return [item.strip() for item in value.split(",") if item.strip()]


def encode_metadata(pairs: Mapping[str, bytes]) -> str:
    """Write Upload-Metadata."""
    return ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in pairs.items())


def decode_metadata(header: str) -> dict[str, bytes]:
    """Read Upload-Metadata. Raises: AssertionError when it is not what the protocol prescribes."""
    pairs: dict[str, bytes] = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        assert key, f"a key is empty in {header!r}"
        assert key not in pairs, f"the key {key!r} stands twice in {header!r}"
        try:
            pairs[key] = base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise AssertionError(f"the value of {key!r} is not Base64 in {header!r}") from error
    return pairs


def setting(option: str | Sequence[str] | None, variable: str) -> str | None:
    """Give the command-line option, or else the environment variable."""
    if option is None or option == []:
        return os.environ.get(variable)
    return option if isinstance(option, str) else "\n".join(option)
