"""What `CONTRIBUTING.md` says about adding something is all there is to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cachedoctor

PACKAGE = Path(cachedoctor.__file__).parent
ROOT = Path(__file__).parent.parent
ENGINE = '''"""toy: one file from the hub cache.

Source: made up
"""

from __future__ import annotations

from cachedoctor.engines import HubEngine


class Toy(HubEngine):
    """Loads a drawing."""

    name = "toy"


ENGINE = Toy()
'''
TABLE = """engine = "toy"
package = "toy"
module = "toy"
versions = ["1.0"]
source = "made up"
sizes = { tiny = ["small"] }

[[sets.toy]]
files = [{ any = ["drawing.toy"], format = "toy_drawing" }]

[[model]]
name = "small"
set = "toy"
repository = "toys/small"
bytes = 8
"""
FORMAT = '''"""A drawing: `TOY`, then as many bytes as its fourth says.

Source: made up
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from typing import BinaryIO


class Drawing:
    """Reads four bytes."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Compare the length that is promised with the file's."""
        head = file.read(4)
        if len(head) < 4 or size_bytes < 4 + head[3]:
            raise FormatError(Fault.TRUNCATED, "is cut", measured=size_bytes)
        if head[:3] != b"TOY":
            raise FormatError(Fault.WRONG_MAGIC, "is no drawing", measured=size_bytes)
        return Reading(4 + head[3], {})


FORMAT = Drawing()
'''
RULE = '''"""A rule of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.findings import Severity
from cachedoctor.rules import EntryRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry


class Toyish(EntryRule):
    """A toy is played with.

    Nothing is wrong with that: it is what toys are for, and this page says so at the length that
    every page has.
    """

    code = "CD599"
    slug = "toyish"
    severity = Severity.NOTE

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Say so of every toy."""
        if "toy" in entry.engines:
            yield self.about(entry.path, (entry,), "is a toy")
'''


LAYOUT = '''"""A box of toys: one file per model.

```
~/toys/<name>.toy
```

Source: made up
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import FolderListing, ModelFolders, entry_id
from cachedoctor.locators._contents import contents
from cachedoctor.looking import quietly
from cachedoctor.vocabulary import Entry, Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host


class ToyBox(ModelFolders):
    """One file per model."""

    name = "toy-box"
    single_file = True

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the box."""
        yield os.path.join(host.home, "toys")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the files."""
        entries = tuple(
            Entry(
                id=entry_id(self.name, path, name),
                locator=self.name,
                root=path,
                path=os.path.join(path, name),
                name=name,
                artifacts=contents(path, path, {name})[0],
            )
            for name in sorted(quietly.names(path))
            if wanted is None or name in wanted
        )
        return Root(locator=self.name, path=path, entries=entries, listing=FolderListing({}, {}))


LOCATOR = ToyBox()
'''
COMMAND = '''"""`cachedoctor play`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import look_options
from cachedoctor.host import Host


@click.command(name="play", short_help="Play with the toys.")
@look_options
def command(host: Host) -> None:
    """Play with the toys of a home."""
    click.echo(f"playing in {host.home}")
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package with a toy of each kind."""
    place = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, place / "cachedoctor", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in (
        ("engines/toy.py", ENGINE),
        ("engines/toy.toml", TABLE),
        ("formats/toy_drawing.py", FORMAT),
        ("rules/toy.py", RULE),
        ("locators/toy_box.py", LAYOUT),
        ("cli/play.py", COMMAND),
    ):
        (place / "cachedoctor" / name).write_text(text)
    commands = place / "cachedoctor/cli/__init__.py"
    commands.write_text(
        commands.read_text().replace('    "schema",\n', '    "schema",\n    "play",\n')
    )
    return place


def ran(copy: Path, *arguments: str) -> str:
    """Run a module of Python with the copy in place of the package; return what it prints."""
    lines = (
        "import runpy, sys",
        # an editable install has a finder of its own
        "sys.meta_path = [f for f in sys.meta_path if f.__module__.startswith('_frozen')]",
        f"sys.path.insert(0, {str(copy)!r})",
        f"sys.argv = {list(arguments)!r}",
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(copy)},
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def place(home: Path, content: bytes) -> None:
    """Put a toy's file into the hub cache of a home."""
    commit = "a" * 40
    repository = home / ".cache/huggingface/hub/models--toys--small"
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(commit)
    (repository / "snapshots" / commit / "drawing.toy").write_bytes(content)


def test_a_new_engine_is_found_judged_and_listed(copy: Path, home: Path) -> None:
    """Two files make an engine: it is scanned, answers sizes, and is in the catalogue."""
    place(home, b"TOY\x04ABCD")
    report = json.loads(ran(copy, "cachedoctor", "scan", "--json", "--home", str(home)))
    (entry,) = report["entries"]
    assert (entry["engines"], entry["model"], entry["status"]) == (["toy"], "small", "ready")
    assert "toy" in ran(copy, "cachedoctor", "engines")
    ready = ran(copy, "cachedoctor", "preflight", "toy", "--size", "tiny", "--home", str(home))
    assert ready.startswith("ready")


def test_a_new_format_finds_what_is_cut(copy: Path, home: Path) -> None:
    """One file makes a format, which the engine's table names."""
    place(home, b"TOY\x04AB")
    report = json.loads(ran(copy, "cachedoctor", "scan", "--json", "--home", str(home)))
    assert "CD201" in {finding["code"] for finding in report["findings"]}


def test_a_new_rule_is_applied_and_has_its_page(copy: Path, home: Path) -> None:
    """One class makes a rule, its page included."""
    place(home, b"TOY\x04ABCD")
    report = json.loads(ran(copy, "cachedoctor", "scan", "--json", "--home", str(home)))
    assert "CD599" in {finding["code"] for finding in report["findings"]}
    assert "A toy is played with." in ran(copy, "cachedoctor", "explain", "CD599")


def test_a_new_layout_is_looked_at(copy: Path, home: Path) -> None:
    """One file makes a layout, which is listed and judged like any other."""
    (home / "toys").mkdir()
    (home / "toys/top.toy").write_bytes(b"TOY\x04ABCD")
    report = json.loads(ran(copy, "cachedoctor", "scan", "--json", "--home", str(home)))
    (entry,) = report["entries"]
    assert (entry["locator"], Path(entry["id"]).name) == ("toy-box", "top.toy")
    assert "toy-box" in ran(copy, "cachedoctor", "info", "--home", str(home))


def test_a_new_command_is_run_and_listed(copy: Path, home: Path) -> None:
    """One file makes a command, and its name in the list of all."""
    assert ran(copy, "cachedoctor", "play", "--home", str(home)) == f"playing in {home}\n"
    assert "Play with the toys." in ran(copy, "cachedoctor", "--help")


def test_the_generic_part_of_the_suite_passes_with_them(copy: Path) -> None:
    """What the suite says of every engine, format and rule holds for the new ones, too."""
    tests = ("tests/test_names.py", "tests/test_docs.py")
    generic = "plug_in_folders or compared or every_table or every_rule"
    own = f"--basetemp={copy / 'tmp'}"  # or it would tidy up after earlier runs of the suite
    said = ran(copy, "pytest", "-q", "-p", "no:cacheprovider", own, "-k", generic, *tests)
    assert " passed" in said, said
    assert " failed" not in said, said
