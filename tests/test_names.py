"""Outside its own package nobody asks a layout, an engine, a format or a code for its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cachedoctor
from cachedoctor import engines, locators, rules
from cachedoctor.system import shipped

PACKAGE = Path(cachedoctor.__file__).parent
HOME = {
    **dict.fromkeys(locators.names(), "locators"),
    **dict.fromkeys(engines.names(), "engines"),
    **dict.fromkeys(shipped.modules("cachedoctor.formats"), "formats"),
    **{rule.code: "rules" for rule in rules.every()},
}
LISTINGS = re.compile(r"(Hub|Folder|Leavings)Listing")


def compared(source: str) -> list[str]:
    """Return the texts that code compares with, looks for in a set, or maps from."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            equal = isinstance(node.ops[0], ast.Eq | ast.NotEq)
            found += _texts(*node.comparators, node.left if equal else None)
        elif isinstance(node, ast.MatchValue):
            found += _texts(node.value)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target).isupper():
                found += _members(node.value)  # a set of names is there to be compared with
    return found


def recognised(source: str) -> list[str]:
    """Return where something is compared with a class's code or name, or with how codes begin."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
            found += [ast.unparse(each) for each in sides if _names_a_class(each)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            begins = node.func.attr in ("startswith", "removeprefix")
            found += [text for text in _texts(*node.args) if begins and re.match(r"CD\d", text)]
    return found


def _names_a_class(node: ast.expr | ast.AST) -> bool:
    """Return whether code reads `Class.code`, `Class.name` or `LOCATOR.name`."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in ("code", "slug", "name")
        and re.fullmatch(r"(\w+\.)?[A-Z]\w+", ast.unparse(node.value)) is not None
    )


def _texts(*nodes: ast.expr | None) -> list[str]:
    found = []
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif node is not None:
            found += _members(node)
    return found


def _members(node: ast.expr) -> list[str]:
    match node:
        case ast.Tuple(elts=parts) | ast.Set(elts=parts) | ast.List(elts=parts):
            return _texts(*parts)
        case ast.Dict(keys=keys):
            return _texts(*keys)
        case ast.Call(func=ast.Name(id="frozenset" | "set" | "tuple"), args=parts):
            return _texts(*parts)
        case _:
            return []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('if a == "hub-cache": pass', ["hub-cache"]),
        ('if a in ("CD101", "CD102"): pass', ["CD101", "CD102"]),
        ('X = frozenset(("CD101",))', ["CD101"]),
        ('X = {"whisper.cpp": "pywhispercpp"}', ["whisper.cpp"]),
        ('X: Mapping[str, str] = {"whisper.cpp": "pywhispercpp"}', ["whisper.cpp"]),
        ('find("npz")', []),
    ],
)
def test_a_comparison_is_seen(source: str, names: list[str]) -> None:
    """The check below sees what it is there for."""
    assert sorted(name for name in compared(source) if name in HOME) == names


def test_a_comparison_with_a_class_is_seen() -> None:
    """A name that is looked up to be compared with is a name that is compared."""
    source = (
        "if finding.code == MissingFile.code: pass\n"
        "if root.locator in (hub_cache.LOCATOR.name, other): pass\n"
        "if code.startswith('CD6'): pass\n"
        "if finding.code == self.code: pass\n"
        "yield Missing.code\n"
    )
    assert recognised(source) == ["MissingFile.code", "hub_cache.LOCATOR.name", "CD6"]


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent.name != "runners"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_nobody_compares_names(path: Path) -> None:
    """What can be asked of a layout, an engine, a format or a rule is an attribute of it."""
    room = path.relative_to(PACKAGE).parts[0]
    source = path.read_text()
    names = [name for name in compared(source) if name in HOME and HOME[name] != room]
    own = {"catalog": "engines"}  # its tables are the engines'
    names = [name for name in names if own.get(room) != HOME[name]]
    assert names == []
    assert recognised(source) == []
    asked = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "isinstance"
        and LISTINGS.search(ast.unparse(node))
    ]
    assert asked == []
