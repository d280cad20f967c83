"""Install one file of a release as a user would, into a bare environment, and use it.

    python release/try_out.py dist/model_cache_doctor-0.2.0-py3-none-any.whl
    python release/try_out.py dist/cachedoctor.pyz

A wheel or an sdist goes into a new environment; the single file is run by this Python, alone. Then
it says its version, explains, scans, repairs and takes back a broken home, and answers as JSON; the
manual pages are there, and bridges, where it has them, answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

_STORY = (
    (["--version"], 0, "cachedoctor, version "),
    (["explain", "CD201"], 0, "CD201 truncated"),
    (["engines", "whisperkit"], 0, "openai_whisper-tiny"),
    (["schema", "scan"], 0, '"core_ml"'),
    (["completion", "bash"], 0, "_CACHEDOCTOR_COMPLETE"),
    (["scan", "HOME"], 1, "CD102 hollow-bundle"),
    (["fix", "HOME", "--yes", "--offline"], 0, ""),
    (["scan", "HOME"], 0, "fluidaudio"),
    (["undo", "HOME"], 0, ""),
    (["scan", "HOME"], 1, "CD102 hollow-bundle"),
    (["preflight", "faster-whisper", "--size", "tiny", "HOME"], 1, ""),
)


def install(artifact: Path, folder: Path) -> tuple[list[str], Path | None]:
    """Return what runs `cachedoctor`, and the environment it was installed into."""
    if artifact.suffix == ".pyz":
        return [sys.executable, "-I", "-S", str(artifact)], None
    place = folder / "environment"
    venv.create(place, with_pip=True)
    python = str(place / "bin" / "python")
    said = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(artifact)]
    subprocess.run([python, *said], check=True, cwd=folder)
    return [str(place / "bin" / "cachedoctor")], place


def use(command: list[str], folder: Path) -> None:
    """Go through the story; raises `SystemExit` with what was not as it should be."""
    environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}

    def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    home = ["--home", str(folder / "mac"), "--platform", "darwin"]
    made = run(["demo", str(folder / "mac")])  # and through a newcomer's tour of it
    if made.returncode:
        raise SystemExit(f"`demo` ended with {made.returncode}: {made.stderr}")
    for words, code, says in _STORY:
        arguments = [each for word in words for each in (home if word == "HOME" else [word])]
        ended = run(arguments)
        if ended.returncode != code or says not in ended.stdout or "Traceback" in ended.stderr:
            told = f"{ended.stdout}\n{ended.stderr}"
            raise SystemExit(
                f"`cachedoctor {' '.join(words)}` ended with {ended.returncode}: {told}"
            )
    facts = json.loads(run(["info", "--json"]).stdout)["info"]
    for name, health in facts["bridge_tests"].items():
        if not health["works"]:
            raise SystemExit(f"the bridge to {name}: {health['why']}")
        print(f"  {name}: bridge {health['version']}, linked: {health['linked']}")


def main() -> None:
    """Try each file that was named."""
    for name in sys.argv[1:]:
        artifact = Path(name).resolve()
        print(artifact.name, flush=True)
        with tempfile.TemporaryDirectory() as place:
            command, environment = install(artifact, Path(place))
            use(command, Path(place))
            if (
                environment is not None
                and not (environment / "share" / "man" / "man1" / "cachedoctor-scan.1").exists()
            ):
                raise SystemExit(f"{artifact.name} brings no manual pages")


if __name__ == "__main__":
    main()
