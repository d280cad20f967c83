"""`engines`, `where` and `info`: the catalogue, a path for scripts, facts for a bug report."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cachedoctor import engines
from cachedoctor.doctor import bridge
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from pathlib import Path


def test_engines_lists_all_with_their_sizes() -> None:
    """Every engine; each size is answered in the order of the catalogue."""
    text = cachedoctor("engines")
    assert text.code == 0
    assert [line.partition(":")[0] for line in text.output.splitlines() if "; " in line] == list(
        engines.names()
    )
    data = cachedoctor("engines", "--json").data
    assert data["schema"] == 1
    assert [engine["name"] for engine in data["engines"]] == list(engines.names())
    turbo = next(engine for engine in data["engines"] if engine["name"] == "faster-whisper")
    assert turbo["sizes"]["large"] == ["large-v3-turbo", "large-v3"]


@pytest.mark.parametrize("name", engines.names())
def test_each_engine_lists_its_models(name: str) -> None:
    """Every model and alias is on a line of its own, with where it comes from."""
    text = cachedoctor("engines", name)
    assert text.code == 0
    rows = [line for line in text.output.splitlines() if line.startswith("  ") and line[2] != " "]
    shown = {line.split()[0] for line in rows}
    table = engines.find(name).table
    assert shown == {*table.models, *table.aliases}


def test_an_engines_models_have_versions_and_a_source(home: Path) -> None:
    """The ranges in which a folder or file set holds, in text and in JSON."""
    lines = cachedoctor("engines", "fluidaudio").output.splitlines()
    assert any(line.endswith("0.6.1 to 0.13.3 in parakeet-tdt-0.6b-v3-coreml") for line in lines)
    assert any(line.startswith("source: FluidInference/FluidAudio") for line in lines)
    (engine,) = cachedoctor("engines", "fluidaudio", "--json").data["engines"]
    newest = engine["models"][0]["sets"][0]
    assert (newest["since"], newest["until"]) == ("0.14.1", None)
    assert {"any": ["parakeet_vocab.json"], "optional": False} in newest["files"]


def test_an_unknown_engine_brings_the_nearest() -> None:
    """As everywhere, with exit code 2."""
    for command in ("engines", "where"):
        wrong = cachedoctor(command, "fluidaudoi")
        assert wrong.code == 2
        assert "did you mean `fluidaudio`?" in wrong.errors


def test_where_is_the_path_that_the_engine_would_load(home: Path) -> None:
    """One line for `$(…)`, also for what is not whole; an error that says how to get it, else."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    snapshot = repository / "snapshots" / worlds.COMMIT
    before = fingerprint(home)
    found = cachedoctor("where", "faster-whisper", "--model", "tiny.en")
    assert (found.code, found.output) == (0, f"{snapshot}\n")
    data = cachedoctor("where", "faster-whisper", "--model", "tiny.en", "--json").data
    assert data["where"] == {"engine": "faster-whisper", "paths": [str(snapshot)]}
    assert fingerprint(home) == before
    (snapshot / "model.bin").unlink()
    assert cachedoctor("where", "faster-whisper", "--model", "tiny.en").output == found.output
    absent = cachedoctor("where", "faster-whisper", "--size", "small")
    assert (absent.code, absent.output) == (1, "")
    assert "models--Systran--faster-whisper-small" in absent.errors
    assert "`cachedoctor fix faster-whisper --size small`" in absent.errors


def test_where_without_a_model_is_the_place(home: Path) -> None:
    """The places that hold something of the engine's, or the usual one where nothing is."""
    hub = worlds.hub_of(home)
    assert cachedoctor("where", "mlx-whisper").output == f"{hub}\n"
    worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    assert cachedoctor("where", "faster-whisper").output == f"{hub}\n"
    mac = ("--home", str(home), "--platform", "darwin")
    kit = home / "Documents" / "huggingface" / "models" / "argmaxinc" / "whisperkit-coreml"
    assert cachedoctor("where", "whisperkit", *mac).output == f"{kit}\n"
    bundle = kit / "openai_whisper-small" / "AudioEncoder.mlmodelc"
    bundle.mkdir(parents=True)
    (bundle / "model.mil").touch()
    assert cachedoctor("where", "whisperkit", *mac).output == f"{kit}\n"


def test_info_names_places_and_what_moved_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable's value is shown, a token's never."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_API_KEY", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:hf_secret@mirror.test/hub")
    text = cachedoctor("info")
    assert text.code == 0
    assert f"{tmp_path}/hf/hub" in text.output
    data = cachedoctor("info", "--json").data
    assert data["info"]["variables"]["HF_TOKEN"] == "set"
    assert data["info"]["variables"]["HF_ENDPOINT"] == "https://***@mirror.test/hub"
    assert data["info"]["hub_cache_moved_by"] == "HF_HOME"
    assert data["info"]["hub_cache"] == f"{tmp_path}/hf/hub"
    lines = {line[:20].rstrip(): line[21:] for line in text.output.splitlines()}
    for name, path in data["info"]["bridges"].items():
        said = lines[bridge.programs()[name]]
        if path is None:
            assert said.startswith("none")
        else:
            assert os.access(path, os.X_OK)
            assert data["info"]["bridge_tests"][name]["works"]
            assert said.startswith("works: ")
            assert said.endswith(f"({path})")
    assert "hf_secret" not in text.output + str(data)
    assert {place["locator"] for place in data["info"]["places"]} >= {"hub-cache", "ggml-folder"}


def test_none_of_them_imports_what_only_a_fetch_needs() -> None:
    """Looking things up is as light as looking at a cache."""
    heavy = "requests", "tqdm", "rich", "huggingface_hub"
    program = (
        "import sys; from cachedoctor.cli import group\n"
        "for words in (['engines'], ['info'], ['where', 'whisper.cpp']):\n"
        "    group.main(words, standalone_mode=False)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"
