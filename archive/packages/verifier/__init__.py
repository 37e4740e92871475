"""The verifiers that travel in a package: `verify.py`, and `verify.html`, which is put together from the folder `page`.

Both are one file that needs no other. The same sources give the same bytes.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Final

from archive.packages.verification.findings import sentences

_HERE: Final = Path(__file__).parent
_VENDOR: Final = _HERE.parents[1] / "web" / "static" / "vendor"
_HASH_WASM: Final = ("hash-wasm-4.13.0-sha256.min.js", "hash-wasm-4.13.0-sha512.min.js")
_LICENCE: Final = "/*! hash-wasm 4.13.0, https://github.com/Daninet/hash-wasm, MIT licence, (c) 2020 Dani Biró */\n"
_CSP: Final = (
    "default-src 'none'; script-src '{script}' 'wasm-unsafe-eval'; style-src '{style}'; worker-src blob:; "
    "base-uri 'none'; form-action 'none'"
)


def verify_py() -> bytes:
    """Return the verifier for Python."""
    return (_HERE / "verify.py").read_bytes()


def verify_html() -> bytes:
    """Return the verifier for browsers: one page that holds all it needs, and a policy that lets nothing else in."""
    style = _part("page.css")
    script = "".join(('"use strict";\n', _part("core.js"), _part("page.js")))
    hasher = "".join(
        (_LICENCE, *((_VENDOR / name).read_text("utf-8") + "\n" for name in _HASH_WASM), _part("hasher.js"))
    )
    texts = json.dumps(sentences(), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for part in (script, hasher, texts):
        if "</script" in part.lower() or "<!--" in part:
            raise ValueError("a part would end its element")
    page = _part("page.html")
    policy = _CSP.format(script=_source(script), style=_source(style))
    parts = {"CSP": policy, "CSS": style, "HASHER": hasher, "SENTENCES": texts, "SCRIPT": script}
    for name, part in parts.items():
        before, mark, after = page.partition(f"@{name}@")
        if not mark:
            raise ValueError(f"the page has no place for {name}")
        page = before + part + after
    return page.encode()


def _part(name: str) -> str:
    return (_HERE / "page" / name).read_text("utf-8")


def _source(text: str) -> str:
    """Return how a content security policy names an inline script or style. Source: CSP Level 3 section 2.3.1."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
