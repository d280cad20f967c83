"""Where things are, as the libraries themselves compute it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.host import Host

TRAPS = [
    {},
    {"HF_HOME": "~/hf"},
    {"HF_HOME": ""},
    {"HF_HOME": "$CACHES/hf", "CACHES": "/big"},
    {"HF_HOME": "${CACHES}/hf", "CACHES": "/big"},
    {"HF_HOME": "$NOT_SET/hf"},
    {"HF_HUB_CACHE": ""},
    {"HF_HUB_CACHE": "relative/hub"},
    {"HF_HUB_CACHE": "~/hub", "HF_HOME": "/elsewhere"},
    {"HUGGINGFACE_HUB_CACHE": "/legacy"},
    {"HUGGINGFACE_HUB_CACHE": "/legacy", "HF_HUB_CACHE": "/new"},
    {"XDG_CACHE_HOME": "/xdg"},
    {"XDG_CACHE_HOME": ""},
    {"XDG_CACHE_HOME": "~/literal"},
    {"TRANSFORMERS_CACHE": "/ignored"},
    {"HF_HUB_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "y"},
    {"HF_HUB_OFFLINE": "yes"},
    {"HF_HUB_OFFLINE": "on"},
    {"HF_HUB_OFFLINE": "True"},
    {"HF_HUB_OFFLINE": "2"},
    {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "1"},
    {"TRANSFORMERS_OFFLINE": "1"},
]

ASK = (
    "import os; from huggingface_hub import constants as c;"
    "print(os.path.abspath(c.HF_HUB_CACHE)); print(bool(c.HF_HUB_OFFLINE))"
)


@pytest.mark.parametrize("variables", TRAPS, ids=str)
def test_hub_variables_mean_what_the_real_client_makes_of_them(
    variables: dict[str, str], home: Path, tmp_path: Path
) -> None:
    """Each variable, traps included, gives the folder and flag that huggingface_hub computes."""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], **variables}
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path / "cwd",
    )
    hub, offline = asked.stdout.splitlines()
    host = Host.look(home=str(home), environment=variables)
    assert host.hub_cache == hub
    assert str(host.hub_offline) == offline


def test_a_named_home_has_none_of_our_variables(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's home is looked at without our own environment, and with what `--env` adds."""
    monkeypatch.setenv("HF_HOME", "/ours")
    assert Host.look().hub_cache == "/ours/hub"
    assert Host.look(home=str(home)).hub_cache == str(home / ".cache/huggingface/hub")
    added = Host.look(home=str(home), environment={"HF_HOME": "/theirs"})
    assert added.hub_cache == "/theirs/hub"


def test_a_home_that_cannot_be_looked_at_is_named(tmp_path: Path) -> None:
    """A home that is missing or a file is refused with its path."""
    with pytest.raises(CannotLookError, match="does not exist"):
        Host.look(home=str(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(CannotLookError, match="is a file"):
        Host.look(home=str(tmp_path / "file"))


def test_an_unknown_platform_is_refused() -> None:
    """Only the platforms of the vocabulary are accepted."""
    with pytest.raises(UsageError, match="beos"):
        Host.look(platform="beos")


def test_the_project_is_the_current_folder_when_it_holds_models(tmp_path: Path) -> None:
    """A current folder with `models/` counts as the project, another does not."""
    assert Host.look().project is None
    (tmp_path / "cwd" / "models").mkdir()
    assert Host.look().project == str(tmp_path / "cwd")
