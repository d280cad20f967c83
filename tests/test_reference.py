"""The reference in `docs/` is what the code says, and answers what a reader looks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cachedoctor import cli, engines, locators, reference, rules

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", reference.PAGES)
def test_no_page_drifts_from_the_code(name: str) -> None:
    """Each page is made anew and compared; `python -m cachedoctor.reference docs` writes it."""
    assert (DOCS / name).read_text() == reference.PAGES[name](), (
        "run `python -m cachedoctor.reference docs`"
    )


@pytest.mark.parametrize("rule", rules.every(), ids=lambda rule: rule.code)
def test_every_finding_has_its_section(rule: rules.Rule) -> None:
    """What it means, how it came about and what to do; with a source unless it is about us."""
    page = reference.rules_page()
    _, _, section = page.partition(f"\n## {rule.code} {rule.slug}\n")
    section = section.partition("\n## ")[0]
    paragraphs = [text for text in section.split("\n\n") if text.strip()]
    assert len(paragraphs) >= 3, "a title, the cause, and what to do"
    ours = rule.code in ("CD000", "CD417", "CD406", "CD601", "CD603")
    assert ours or "Source: " in section


def test_every_engine_and_layout_has_its_section() -> None:
    """Ten engines, each with a table; each layout with its tree."""
    page = reference.caches_page()
    assert len(engines.names()) == 10
    for name in (*engines.names(), *locators.names()):
        assert f"\n## {name}\n" in page
    for engine in map(engines.find, engines.names()):
        for model in engine.table.models:
            assert f"| {model} |" in page, model


def test_every_command_and_option_is_there() -> None:
    """Each command has a section with its usage."""
    page = reference.commands_page()
    for name in cli.COMMANDS:
        assert f"\n## cachedoctor {name}\n" in page
        assert f"Usage: cachedoctor {name}" in page


@pytest.mark.parametrize("name", [*reference.PAGES, "../README.md"])
def test_links_lead_somewhere(name: str) -> None:
    """A link to a page or to a heading finds it."""
    text = (DOCS / name).read_text()
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("http"):
            assert (DOCS / name).parent.joinpath(target).exists(), target
