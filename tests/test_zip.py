"""The package runs from a zip: data and registries are found without a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cachedoctor
from cachedoctor import engines, locators, rules
from cachedoctor.system import shipped

PACKAGE = Path(cachedoctor.__file__).parent


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a zip of the package."""
    archive = tmp_path_factory.mktemp("zip") / "cachedoctor.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(PACKAGE.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                file.write(path, path.relative_to(PACKAGE.parent))
    return archive


def ran(archive: Path, code: str) -> str:
    """Run some code with the package out of the zip and nowhere else; return what it prints."""
    lines = (
        "import sys",
        # an editable install has a finder of its own
        "sys.meta_path = [f for f in sys.meta_path if f.__module__.startswith('_frozen')]",
        f"sys.path.insert(0, {str(archive)!r})",
        "import cachedoctor",
        f"assert {str(archive)!r} in cachedoctor.__file__",
        code,
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("engines", engines.names()),
        ("locators", locators.names()),
    ],
)
def test_the_registries_are_whole(zipped: Path, module: str, names: tuple[str, ...]) -> None:
    """Every plug-in is found in the zip as in the folder."""
    found = ran(zipped, f"from cachedoctor import {module}; print(*{module}.names())")
    assert tuple(found.split()) == names


def test_the_formats_are_whole(zipped: Path) -> None:
    """Each is imported by its name, as a table gives it."""
    names = shipped.modules("cachedoctor.formats")
    code = f"print(*(formats.is_bundle(n) or formats.find(n).read.__name__ for n in {names}))"
    assert len(ran(zipped, f"from cachedoctor import formats; {code}").split()) == len(names)


def test_the_rules_are_whole(zipped: Path) -> None:
    """Every code is found."""
    found = ran(zipped, "from cachedoctor import rules; print(*(r.code for r in rules.every()))")
    assert found.split() == [rule.code for rule in rules.every()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan"],
        ["engines"],
        ["explain", "CD201"],
        ["schema", "scan"],
        ["diagnose", os.devnull],
        ["report", "-o", "-"],
    ],
)
def test_commands_run(zipped: Path, arguments: list[str]) -> None:
    """A command reads its tables and schemas out of the zip."""
    command = ["cachedoctor", *arguments]
    ran(zipped, f"sys.argv = {command!r}\nfrom cachedoctor import cli\ncli.main()")
