"""Real releases of huggingface_hub, each in its own folder with its dependencies.

They are kept between runs beside the weights, where `tests.support.weights` says:

    huggingface_hub-<version>-<python>.lock
    huggingface_hub-<version>-<python>/      what `pip install --target` wrote, renamed when whole
"""

from __future__ import annotations

import fcntl
import functools
import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NEWEST = "2.4.0"
VERSIONS = (NEWEST, "1.28.0", "1.9.2", "0.36.2")
# of most tests the first and the last of them say enough; those between are tried, too
ENDS_FIRST = tuple(
    pytest.param(version, marks=[] if version in (VERSIONS[0], VERSIONS[-1]) else pytest.mark.heavy)
    for version in VERSIONS
)
LAST_FIRST = tuple(
    pytest.param(version, marks=[] if version == VERSIONS[-1] else pytest.mark.heavy)
    for version in VERSIONS
)
DEADLINE_S = 60.0

_DOWNLOAD = """
for name in asked["files"] or [None]:
    if name is None:
        huggingface_hub.snapshot_download(**asked["keywords"])
    else:
        huggingface_hub.hf_hub_download(filename=name, **asked["keywords"])
"""
_START = """
import json, sys
import huggingface_hub
asked = json.loads(sys.argv[1])
if huggingface_hub.__version__ != asked["version"]:
    sys.exit(f"this is {huggingface_hub.__version__} in {huggingface_hub.__file__}")
"""


def number(version: str) -> tuple[int, ...]:
    """Return a version as a comparable value."""
    return tuple(int(part) for part in version.split("."))


def client(version: str) -> Path:
    """Return the folder of a release; skip the test if the package index has none."""
    found = _installed(version)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@functools.cache
def _installed(version: str) -> Path | str:
    """Return the folder of a release, or why there is none; a missing index is asked only once."""
    name = f"huggingface_hub-{version}-{sys.implementation.cache_tag}"
    folder = weights.CACHE / name
    weights.CACHE.mkdir(parents=True, exist_ok=True)
    with (weights.CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a parallel run waits
        if folder.is_dir():
            return folder
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=weights.CACHE) as scratch:
            fresh = Path(scratch, "fresh")
            requirement = f"huggingface_hub=={version}"
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--retries=2"]
            command += ["--disable-pip-version-check", "--no-warn-conflicts"]
            command += ["--only-binary=:all:", "--target", str(fresh), requirement]
            pip = subprocess.run(
                command, capture_output=True, text=True, env=weights.ENVIRONMENT, check=False
            )
            if pip.returncode:
                reason = (pip.stderr.strip().splitlines() or ["no reason"])[-1]
                return f"the package index gave no `{requirement}`: {reason}"
            fresh.rename(folder)
    return folder


def download(
    version: str,
    hub_url: str,
    repository: str,
    home: Path,
    *,
    local_dir: Path | None = None,
    files: Sequence[str] | None = None,
    kind: str = "model",
    env: Mapping[str, str] | None = None,
) -> None:
    """Download a snapshot, or these files one by one, to the hub cache of `home` or to a folder."""
    asked = _asked(repository, local_dir, files, kind)
    with _start(version, hub_url, home, _DOWNLOAD, asked, env) as child:
        _finish(version, child)


@contextmanager
def downloading(
    version: str, hub_url: str, repository: str, home: Path, *, files: Sequence[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a download, and kill it at the end of the block."""
    asked = _asked(repository, None, files, "model")
    with _start(version, hub_url, home, _DOWNLOAD, asked, None) as child:
        try:
            yield child
        finally:
            child.kill()
            child.communicate()


def run(version: str, hub_url: str, home: Path, code: str, **asked: object) -> None:
    """Run code with the `huggingface_hub` of a release; the code finds its input in `asked`."""
    with _start(version, hub_url, home, code, asked, None) as child:
        _finish(version, child)


def _asked(
    repository: str, local_dir: Path | None, files: Sequence[str] | None, kind: str
) -> dict[str, object]:
    keywords = {
        "repo_id": repository,
        "repo_type": kind,
        "local_dir": None if local_dir is None else str(local_dir),
    }
    return {"files": None if files is None else list(files), "keywords": keywords}


def _start(
    version: str,
    hub_url: str,
    home: Path,
    code: str,
    asked: Mapping[str, object],
    env: Mapping[str, str] | None,
) -> subprocess.Popen[str]:
    """Start a Python that finds the release first, with nothing of the caller's environment."""
    variables = {
        "HOME": str(home),
        "PYTHONPATH": str(client(version)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_PROXY": "*",
        "HF_ENDPOINT": hub_url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        **(env or {}),
    }
    request = json.dumps({"version": version, **asked})
    return subprocess.Popen(
        [sys.executable, "-s", "-P", "-c", _START + code, request],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(version: str, child: subprocess.Popen[str]) -> None:
    try:
        _, said = child.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        _, said = child.communicate()
        said += f"\nkilled after {DEADLINE_S:.0f} s"
    if child.returncode:
        pytest.fail(f"huggingface_hub {version} ended with {child.returncode}:\n{said}")
