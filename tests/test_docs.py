"""The documents keep step with the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cachedoctor import cli, engines, formats, locators, rules, version
from cachedoctor.engines import catalog
from cachedoctor.findings import Circumstance
from cachedoctor.system import shipped

ROOT = Path(__file__).parent.parent

GIVEN_UP = {"ls-eend"}  # replaced by a model for each step


@pytest.mark.parametrize("rule", rules.every(), ids=lambda rule: rule.code)
def test_every_rule_has_a_page(rule: rules.Rule) -> None:
    """A title that ends in a full stop, an explanation, and a code and slug of its own."""
    page = rule.__doc__ or ""
    title, _, rest = page.partition("\n\n")
    assert title.endswith(".")
    assert len(rest) > 80
    others = [other for other in rules.every() if other.code != rule.code]
    assert rule.slug not in [other.slug for other in others]
    about_a_file = rule.code[2] in "123" or rule.shows is Circumstance.BROKEN_REF
    assert not about_a_file or rule.rank is not None


def test_every_code_that_the_documents_name_exists() -> None:
    """README, design and contributing name only codes that `explain` knows."""
    known = {rule.code for rule in rules.every()}
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md"):
        named = set(re.findall(r"CD\d{3}", (ROOT / name).read_text()))
        assert named <= known, name


def test_every_command_is_in_the_readme_with_its_help() -> None:
    """Each command is in README's table and has a help of more than a line."""
    readme = (ROOT / "README.md").read_text()
    for name in cli.COMMANDS:
        assert f"`cachedoctor {name}" in readme
        command = cli.group.get_command(click.Context(cli.group), name)
        assert command is not None
        assert command.help


def test_every_module_of_the_plug_in_folders_is_found() -> None:
    """What lies in the folders is what the registries return, data included."""
    for package, names in (
        (formats, shipped.modules(formats.__name__)),
        (locators, locators.names()),
        (engines, engines.names()),
    ):
        folder = Path(package.__path__[0])
        files = {path.stem for path in folder.glob("*.py")} - {"__init__", "catalog"}
        files = {name for name in files if not name.startswith("_")}
        found = {re.sub(r"[-.]", "_", name) for name in names}
        assert found == files
    for name in engines.names():
        engine = engines.find(name)
        assert engine.name == name
        table = catalog.read(name)
        assert table.engine == name
        assert table.source
        assert all(locators.find(layout).name == layout for layout in engine.locators)


def test_every_row_of_the_catalogue_is_whole() -> None:
    """Sizes name models, digests have their length, file sets have ranges without gaps."""
    for name in engines.names():
        table = engines.find(name).table
        for model in table.models.values():
            assert model.sets, model.name
            assert model.repository or model.url, model.name
            for size, digest in model.published.values():
                assert size > 0
                assert len(digest.hex) == 64
            newest = [files for files in model.sets if not files.until]
            assert len(newest) == (0 if model.name in GIVEN_UP else 1), model.name
        assert set(table.aliases.values()) <= set(table.models)
        assert not any(name.endswith(".en") for names in table.sizes.values() for name in names)


def test_engines_are_named_and_never_numbered() -> None:
    """The README names each, and nobody has to count again when one is added."""
    readme = (ROOT / "README.md").read_text()
    assert [name for name in engines.names() if name.lower() not in readme.lower()] == []
    counted = re.compile(
        r"\b(five|six|seven|eight|nine|ten|eleven|twelve|thirteen|[5-9]|1\d) (speech )?engines\b",
        re.IGNORECASE,  # two or three are somebody's own
    )
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    pages += [*(ROOT / "cachedoctor").rglob("*.py"), ROOT / "pyproject.toml"]
    assert {
        (page, found[0]) for page in pages for found in counted.finditer(page.read_text())
    } == set()


def test_the_version_is_the_same_everywhere() -> None:
    """The literal in the package is the one in the project file."""
    assert f'version = "{version.VERSION}"' in (ROOT / "pyproject.toml").read_text()
