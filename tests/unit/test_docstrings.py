"""The form of docstrings: the promise in one line that ends as a sentence does; details after an empty line.

Public modules, classes, functions and methods are held to it; what starts with an underscore, what stands inside a
function, overloads, property setters and database migrations are not.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("archive", "ingest", "signing", "retention")
_ENDS = (".", ":", "。")
_TWO_LINES = "the promise does not stand in one line, followed by an empty one"

type_of_definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _modules() -> list[Path]:
    found = [path for package in _PACKAGES for path in sorted((_ROOT / package).rglob("*.py"))]
    return [path for path in found if "migrations" not in path.relative_to(_ROOT).parts]


def faults(source: str, *, private_module: bool = False) -> list[str]:
    """Return `line: what is wrong` for each docstring that is missing or has another form."""
    tree = ast.parse(source)
    return [
        f"{line}: {name}: {fault}"
        for line, name, docstring in ([] if private_module else _public(tree))
        if (fault := _fault(docstring))
    ]


def _public(tree: ast.Module) -> Iterator[tuple[int, str, str | None]]:
    yield 1, "module", ast.get_docstring(tree, clean=True)
    yield from _definitions(tree.body, "")


def _definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[int, str, str | None]]:
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _definitions(node.body + node.orelse, prefix)
        elif isinstance(node, type_of_definition) and not node.name.startswith("_") and not _is_exempt(node):
            yield node.lineno, prefix + node.name, ast.get_docstring(node, clean=True)
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, f"{node.name}.")


def _is_exempt(node: type_of_definition) -> bool:
    # An overload and a setter say nothing that their definition does not say; an override keeps its port's promise.
    names = {ast.unparse(decorator).rsplit(".", 1)[-1] for decorator in node.decorator_list}
    return bool(names & {"overload", "setter", "override"})


def _fault(docstring: str | None) -> str | None:
    if not docstring:
        return "has no docstring"
    first, _, rest = docstring.partition("\n")
    if rest and not rest.startswith("\n"):
        return _TWO_LINES
    if not first.endswith(_ENDS):
        return f"the first line does not end a sentence: {first[-40:]!r}"
    return None


@pytest.mark.parametrize("package", _PACKAGES)
def test_public_names_say_what_they_promise(package: str) -> None:
    found = [
        f"{path.relative_to(_ROOT)}:{fault}"
        for path in _modules()
        if path.relative_to(_ROOT).parts[0] == package
        for fault in faults(
            path.read_text("utf-8"),
            private_module=path.name.startswith("_") and path.stem not in {"__init__", "__main__"},
        )
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""A module."""', []),
        ("", ["1: module: has no docstring"]),
        ('"""A module."""\ndef f(): ...', ["2: f: has no docstring"]),
        ('"""A module."""\nasync def f(): ...', ["2: f: has no docstring"]),
        ('"""A module."""\ndef _f(): ...', []),
        ('"""A module."""\ndef f():\n  """Do it"""', ["2: f: the first line does not end a sentence: 'Do it'"]),
        ('"""A module."""\ndef f():\n  """Do it,\n  all of it."""', [f"2: f: {_TWO_LINES}"]),
        ('"""A module."""\ndef f():\n  """Do it.\n\n  Raises: nothing\n  """\n  def inner(): ...', []),
        ('"""M:"""\nclass C:\n  """中文。"""\n  def m(self): ...\n  def _m(self): ...', ["4: C.m: has no docstring"]),
        ('"""M."""\nclass C:\n  """C."""\n  @x.setter\n  def m(self, v): ...\n  @overload\n  def n(self): ...', []),
        ('"""A module."""\nclass _C:\n  def m(self): ...', []),
        ('"""A module."""\nif True:\n  def f(): ...', ["3: f: has no docstring"]),
    ],
)  # fmt: skip
def test_the_check_finds_what_it_must(source: str, expected: list[str]) -> None:
    assert faults(source) == expected
