"""The house stays one in which a reader finds the way: counted, so that nobody need argue."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = Path(cachedoctor.__file__).parent
ROOT = Path(__file__).parent.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 350
MOST_AT_THE_TOP = 16
MOST_LAYERS = 20
MANY_FIELDS = 5
MOST_BY_POSITION = 2


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_read_in_one_sitting(path: Path) -> None:
    """What grows longer has two ideas, and becomes two modules."""
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_few_modules_lie_at_the_top() -> None:
    """A module belongs into a room."""
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_TOP


def test_the_layers_fit_on_a_screen() -> None:
    """One list says what may import what, and every module of the package is in it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    first = contracts["contracts"][0]
    assert first["exhaustive"]
    assert len(first["layers"]) <= MOST_LAYERS


def fields(kind: ast.ClassDef) -> int:
    """Count the fields of a value, 0 for a class that is none."""
    named = any(ast.unparse(base).endswith("NamedTuple") for base in kind.bases)
    named = named or any("dataclass" in ast.unparse(each) for each in kind.decorator_list)
    return sum(isinstance(line, ast.AnnAssign) for line in kind.body) if named else 0


def built_by_position(sources: Mapping[str, str]) -> list[str]:
    """Return where a value of many fields is built without naming them, by module and line.

    `sources` are the texts of modules by their dotted names.
    """
    trees = {module: ast.parse(text) for module, text in sources.items()}
    large = {
        (module, kind.name)
        for module, tree in trees.items()
        for kind in tree.body
        if isinstance(kind, ast.ClassDef) and fields(kind) > MANY_FIELDS
    }
    brought = {
        module: {
            each.asname or each.name: (line.module or "", each.name)
            for line in ast.walk(tree)
            if isinstance(line, ast.ImportFrom)
            for each in line.names
        }
        for module, tree in trees.items()
    }

    def meant(module: str, name: ast.expr) -> tuple[str, str]:
        """Return the class that a word of a module means, through re-exports."""
        if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name):
            room, inner = brought[module].get(name.value.id, ("", ""))
            module, name = f"{room}.{inner}", ast.Name(name.attr)
        known = (module, name.id if isinstance(name, ast.Name) else "")
        while known not in large and known[1] in brought.get(known[0], {}):
            known = brought[known[0]][known[1]]
        return known

    return [
        f"{module}:{call.lineno}"
        for module, tree in trees.items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and len(call.args) > MOST_BY_POSITION
        if meant(module, call.func) in large
    ]


def test_a_value_of_many_fields_is_built_by_their_names() -> None:
    """A field that is added or moved must not become another one's value."""
    value = "class V(NamedTuple):\n" + "\n".join(f"    f{n}: int" for n in range(6))
    sources = {
        "a": value,
        "b": "from a import V as V",
        "c": "from b import V\nV(1, 2, 3, f3=4, f4=5, f5=6)\nV(1, 2, f2=3)",
        "d": "from x import a\n",
        "e": "import x\nclass W(NamedTuple):\n    one: int\nW(1, 2, 3)",
    }
    assert built_by_position(sources) == ["c:2"]
    ours = {
        ".".join(("cachedoctor", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path.read_text()
        for path in MODULES
        if path.parent.name != "runners"  # programs of their own
    }
    assert built_by_position(ours) == []
