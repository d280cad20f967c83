"""The hooks, run by the real pre-commit on a throwaway repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import environments, weights, worlds
from tests.support.command import cachedoctor

ROOT = Path(__file__).parent.parent
HOOKS = {"cachedoctor-lock", "cachedoctor-preflight"}


def git(folder: Path, *arguments: str) -> str:
    """Run git as nobody in particular."""
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_hooks_are_commands_that_there_are() -> None:
    """Each entry, with its arguments and a file, is understood."""
    hooks: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {row["id"] for row in hooks} == HOOKS
    page = (ROOT / "docs" / "how-to" / "ci.md").read_text()
    assert all(f"      - id: {name}\n" in page for name in HOOKS)
    for row in hooks:
        named = ["models.lock"] if row.get("pass_filenames", True) else []
        words: list[str] = row["entry"].split(" ") + row.get("args", []) + named
        assert words.pop(0) == "cachedoctor"
        ended = cachedoctor(*words)
        assert (ended.code, "`models.lock`" in ended.errors) == (3, True), ended.errors


@pytest.mark.real
@pytest.mark.heavy
def test_a_commit_is_held_up_by_a_lock_that_is_wrong(home: Path, tmp_path: Path) -> None:
    """Well-formed and ready passes; ready no more fails one hook, and a bad edit both."""
    program = environments.pre_commit()
    source, project = tmp_path / "source", tmp_path / "project"
    for name in git(ROOT, "ls-files", "-co", "--exclude-standard", "-z").split("\0"):
        if name and (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    for folder in (source, project):
        folder.mkdir(exist_ok=True)
        git(folder, "init", "-q")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "this")
    hooks = [{"id": name} for name in sorted(HOOKS)]
    repository = {"repo": str(source), "rev": git(source, "rev-parse", "HEAD").strip()}
    config = {"repos": [{**repository, "hooks": hooks}]}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    hub = worlds.hub_of(home)
    model = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    lock = project / "models.lock"
    assert cachedoctor("lock", "faster-whisper:tiny.en", "-o", str(lock)).code == 0
    git(project, "add", "-A")
    env = {**weights.ENVIRONMENT, "HF_HUB_CACHE": str(hub), "CACHEDOCTOR_BRIDGES": "OFF"}
    env |= {"PRE_COMMIT_HOME": str(tmp_path / "kept"), "TMPDIR": os.environ.get("TMPDIR", "/tmp")}

    def failed() -> set[str]:
        done = subprocess.run(
            [program, "run", "--all-files", "--color=never"],
            cwd=project,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if "Could not find a version" in done.stdout:
            pytest.skip("the package index gave nothing to build with")
        lines = done.stdout.splitlines()
        assert sum(line.endswith(("Passed", "Failed")) for line in lines) == len(HOOKS), done.stdout
        found = {line.removeprefix("- hook id: ") for line in lines if "- hook id: " in line}
        assert bool(done.returncode) == bool(found)
        return found

    assert failed() == set()
    shutil.move(model, tmp_path)
    assert failed() == {"cachedoctor-preflight"}
    lock.write_text(lock.read_text().replace("sha256", "sha265"))
    assert failed() == HOOKS
