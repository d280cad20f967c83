"""The reference in `docs/` is what the code says, and answers what a reader looks for."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cachedoctor import cli, engines, locators, rules
from docs.generate import pages

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", pages.PAGES)
def test_no_page_drifts_from_the_code(name: str) -> None:
    """Each page is made anew and compared; `python -m docs.generate docs` writes it."""
    assert (DOCS / name).read_text() == pages.PAGES[name](), "run `python -m docs.generate docs`"


@pytest.mark.parametrize("rule", rules.every(), ids=lambda rule: rule.code)
def test_every_finding_has_its_section(rule: rules.Rule) -> None:
    """What it means, how it came about and what to do; with a source unless it is about us."""
    page = pages.rules_page()
    _, _, section = page.partition(f"\n## {rule.code} {rule.slug}\n")
    section = section.partition("\n## ")[0]
    severity, *paragraphs = [text for text in section.split("\n\n") if text.strip()]
    assert severity.strip() == f"Severity: {rule.severity.value}"
    told = [text for text in paragraphs if not text.lstrip().startswith("Source: ")]
    enough = 2 if rule.code == "CD602" else 3  # there is no remedy but another machine
    assert len(told) >= enough, "a title, the cause, and what to do"
    ours = rule.code in ("CD000", "CD417", "CD423", "CD406", "CD601", "CD603")
    assert ours or "\n\nSource: " in section


def test_every_engine_and_layout_has_its_section() -> None:
    """Every engine, each with a table; each layout with its tree."""
    page = pages.caches_page()
    assert engines.names()
    for name in (*engines.names(), *locators.names()):
        assert f"\n## {name}\n" in page
    for engine in map(engines.find, engines.names()):
        for model in engine.table.models:
            assert f"| {model} |" in page, model


def test_files_and_folders_are_given_by_version() -> None:
    """What FluidAudio and WhisperKit moved or dropped can be read from the page."""
    page = pages.caches_page()
    for words in (
        "- 0.14.1 and later, in `parakeet-tdt-0.6b-v3`:",
        "- 0.6.1 to 0.13.3, in `parakeet-tdt-0.6b-v3-coreml`:",
        "; into `parakeet-eou-streaming/160ms` |",
        "[`TextDecoderContextPrefill.mlmodelc`]",
        "- `ggml-base-encoder.mlmodelc`: base, base-q5_1, base-q8_0",
        "; to 0.9.0 `guillaumekln/faster-whisper-tiny` |",
    ):
        assert words in page


def test_every_command_and_option_is_there() -> None:
    """Each command, also one below another, has its usage; each option is in one table or two."""
    page = pages.commands_page()
    context = click.Context(cli.group, info_name="cachedoctor")
    for name in cli.COMMANDS:
        command = cli.group.get_command(context, name)
        assert command is not None
        below = command.commands.values() if isinstance(command, click.Group) else ()
        for one, title in ((command, name), *((each, f"{name} {each.name}") for each in below)):
            assert f"# cachedoctor {title}\n\n```\ncachedoctor {title} " in page
            for option in one.params:
                assert not isinstance(option, click.Option) or option.opts[-1] in page


def test_without_a_folder_the_writer_says_how(tmp_path: Path) -> None:
    """No traceback for a missing argument; with a folder, all pages."""
    for wrong in ([], [str(tmp_path / "nowhere")]):
        with pytest.raises(SystemExit, match=r"python -m docs\.generate"):
            pages.main(wrong)
    folder = tmp_path / "docs"
    folder.mkdir()
    pages.main([str(folder)])
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == set(pages.PAGES)


OTHERS = [
    *(f"how-to/{path.name}" for path in (DOCS / "how-to").glob("*.md")),
    *("index.md", "your-files.md", "tutorial.md", "limits.md", "design.md", "../README.md"),
]


def headings(text: str) -> set[str]:
    """Return what a link may name behind `#` in a page, as GitHub and the site make it."""
    titles = (line for line in text.splitlines() if line.startswith("#"))
    named = re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE)
    return {
        *named,
        *(re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in titles),
    }


@pytest.mark.parametrize("name", [*pages.PAGES, *OTHERS])
def test_links_lead_somewhere(name: str) -> None:
    """A link to a page, or to a heading of this or another page, finds it."""
    text = (DOCS / name).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        page, _, heading = target.partition("#")
        if target.startswith("http"):
            continue
        there = (DOCS / name).parent / page if page else DOCS / name
        assert there.exists(), target
        assert not heading or heading in headings(there.read_text()), target
