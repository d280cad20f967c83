"""The house stays one in which a reader finds the way: counted, so that nobody need argue."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cachedoctor
from cachedoctor import rules

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
NOTES = 40  # the column of the picture at which words about the rooms begin
SAID = frozenset(("message", "describe", "hint", "reason", "why", "title", "litter", "word"))
ASKED = frozenset(("startswith", "endswith", "find", "index", "count", "partition", "rpartition"))


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


def test_the_picture_shows_every_room_in_its_layer() -> None:
    """What a reader is given first is what the linter holds."""
    picture = (ROOT / "docs/design.md").read_text().split("```")[1]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    rows = [re.findall(r"\w+", line[:NOTES]) for line in picture.splitlines()]
    lowest = 0
    for layer in contracts["contracts"][0]["layers"]:
        names = set(layer.split(" | ")) - {"__main__"}
        at = {number for number, row in enumerate(rows) for name in row if name in names}
        assert {name for number in at for name in rows[number]} >= names, layer
        assert not at or min(at) >= lowest, layer
        lowest = max(at, default=lowest)


def test_the_map_says_where_each_code_is_written() -> None:
    """Whoever reads a code finds its rule, also without a search."""
    page = (ROOT / "docs/design.md").read_text()
    said = {
        f"CD{code:03}": module
        for module, codes in re.findall(r"^\| `(\w+)` \| ([\d–, ]+) \|", page, re.MULTILINE)
        for part in codes.split(", ")
        for code in range(int(part[:3]), int(part[-3:]) + 1)
    }
    assert said == {rule.code: type(rule).__module__.rpartition(".")[2] for rule in rules.every()}


def ours() -> dict[str, str]:
    """Return the texts of the package's modules by their names; runners are programs apart."""
    return {
        ".".join(("cachedoctor", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path.read_text()
        for path in MODULES
        if path.parent.name != "runners"
    }


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
    assert built_by_position(ours()) == []


def imported(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the modules that each imports, also within functions and for types alone."""
    found: dict[str, set[str]] = {}
    for module, text in sources.items():
        lines = [line for line in ast.walk(ast.parse(text)) if isinstance(line, ast.ImportFrom)]
        names = {(line.module or "", each.name) for line in lines for each in line.names}
        meant = {f"{room}.{name}" if f"{room}.{name}" in sources else room for room, name in names}
        found[module] = meant.intersection(sources) - {module}
    return found


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules that are reached from themselves."""

    def below(module: str) -> set[str]:
        seen: set[str] = set()
        ahead = [*graph[module]]
        while ahead:
            each = ahead.pop()
            if each not in seen:
                seen.add(each)
                ahead += graph[each]
        return seen

    return [module for module in graph if module in below(module)]


def test_no_module_imports_one_that_imports_it() -> None:
    """Also not from within a function: a circle is a layer that is missing."""
    sources = {
        "x.a": "from x import b",
        "x.b": "def f():\n    from x.c import g",
        "x.c": "from x import a",
        "x.d": "from x import a",
        "x": "",
    }
    assert circles(imported(sources)) == ["x.a", "x.b", "x.c"]
    assert circles(imported(ours())) == []


def borrowed(sources: Mapping[str, str]) -> list[str]:
    """Return which modules use a name of another room that begins with `_`, also for types."""
    found = []
    for module, text in sources.items():
        room = module.split(".")[1] if "." in module else ""
        for line in ast.walk(ast.parse(text)):
            if isinstance(line, ast.ImportFrom):
                for each in line.names:
                    parts = f"{line.module}.{each.name}".split(".")[1:]
                    if parts[0] != room and any(part.startswith("_") for part in parts):
                        found.append(f"{module}: {'.'.join(parts)}")
    return found


def test_nobody_uses_what_a_room_keeps_to_itself() -> None:
    """A room has a door, and what begins with `_` is behind it."""
    sources = {
        "x.a.b": "from x.a._c import d\nfrom x.a import _e",
        "x.f": "def g():\n    from x.a._c import d\n    from x.a import _e, h",
    }
    assert borrowed(sources) == ["x.f: a._c.d", "x.f: a._e"]
    assert borrowed(ours()) == []


def decided_by_words(source: str) -> list[int]:
    """Return the lines on which a text for people is compared with words, or searched for them."""

    def says(node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr in SAID

    def words(node: ast.expr) -> bool:
        parts = node.elts if isinstance(node, ast.Tuple | ast.Set | ast.List) else [node]
        return any(isinstance(p, ast.Constant) and bool(p.value) for p in parts)

    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(says, sides)) and any(map(words, sides)):
                found.append(node.lineno)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ASKED
            and says(node.func.value)
        ):
            found.append(node.lineno)
    return found


def test_nothing_is_decided_by_what_is_said() -> None:
    """Texts are for people, and change; whatever depends on one asks for a code or an attribute."""
    source = (
        'if finding.message == "is gone": pass\n'
        'if "download" in choice.reason: pass\n'
        'if repair.describe.startswith("set"): pass\n'
        'if error.hint == "": pass\n'
        'if one.why in ("a", "b"): pass\n'
        "if one.why is None: pass\n"
        'if "x" in one.name: pass\n'
    )
    assert sorted(decided_by_words(source)) == [1, 2, 3, 5]
    found = {module: decided_by_words(text) for module, text in ours().items()}
    assert {module: lines for module, lines in found.items() if lines} == {}
