"""A model by an engine's own words, and models that no table names; by name, or by path only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cachedoctor import preflight
from cachedoctor.doctor import scanning
from cachedoctor.errors import UsageError
from cachedoctor.findings import Severity
from cachedoctor.host import Host
from cachedoctor.vocabulary import Status
from tests.support import builders, builders_models, worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

MINE = "somebody/faster-whisper-mine"
CONFIGS = {
    "mlx-whisper": ({"n_mels": 80, "n_audio_layer": 4}, "weights.safetensors"),
    "parakeet-mlx": (
        {"target": "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel"},
        "model.safetensors",
    ),
    "insanely-fast-whisper": ({"model_type": "whisper", "d_model": 4}, "model.safetensors"),
}


def test_a_repository_a_path_and_an_alias_are_words(home: Path, host: Host) -> None:
    """As the engine takes them; another word has the nearest names."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    snapshot = repository / "snapshots" / worlds.COMMIT
    for word, by in (("tiny.en", "name"), (worlds.TINY, "name"), (str(snapshot), "path")):
        verdict = preflight("faster-whisper", model=word, host=host)
        assert (verdict.ready, verdict.by, verdict.path) == (True, by, str(snapshot))
        where = cachedoctor("where", "faster-whisper", "--model", word)
        assert (where.code, where.output) == (0, f"{snapshot}\n")
    locked = cachedoctor("lock", f"faster-whisper:{worlds.TINY}")
    assert (locked.code, "tiny.en" in locked.output) == (
        0,
        True,
    )
    with pytest.raises(UsageError, match="no model `tiny\\.em`"):
        preflight("faster-whisper", model="tiny.em", host=host)
    assert not preflight("faster-whisper", model=str(home / "none"), host=host).ready


def test_a_broken_model_at_a_path_is_not_ready(home: Path, host: Host) -> None:
    """As anywhere else."""
    folder = home / "mine"
    folder.mkdir()
    for name, content in worlds.whisper_files().items():
        (folder / name).write_bytes(content)
    assert preflight("faster-whisper", model=str(folder), host=host).ready
    worlds.cut(folder / "model.bin", 60)
    verdict = preflight("faster-whisper", model=str(folder), host=host)
    assert (verdict.ready, verdict.code) == (False, "CD201")


def test_what_lies_elsewhere_is_ready_by_its_path_only(home: Path) -> None:
    """Said in the line and in JSON; with `--by name` it is not ready."""
    project = home / "project"
    worlds.repository(project / "models", worlds.TINY, worlds.whisper_files())
    asked = ("preflight", "faster-whisper", "--model", "tiny.en", "--project", str(project))
    shown = cachedoctor(*asked)
    assert (shown.code, shown.output.startswith("ready, by path only ")) == (0, True)
    assert cachedoctor(*asked, "--json").data["verdict"]["by"] == "path"
    strict = cachedoctor(*asked, "--by", "name")
    assert (strict.code, "by path only" in strict.output) == (1, True)
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    assert cachedoctor(*asked, "--by", "name").code == 0


def test_a_revision_that_is_asked_for_needs_no_branch(home: Path, host: Host) -> None:
    """And one that is not there is not there."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files(), ref=None)
    assert preflight("faster-whisper", model="tiny.en", host=host).code == "CD403"
    found = preflight("faster-whisper", model="tiny.en", host=host, revision=worlds.COMMIT)
    assert found.ready
    other = preflight("faster-whisper", model="tiny.en", host=host, revision="0" * 40)
    assert (other.ready, other.code) == (False, "CD101")


def test_a_repository_that_no_table_names_is_known_by_its_shape(home: Path, host: Host) -> None:
    """Cut it is an error, a file missing a warning; it answers no size."""
    hub = worlds.hub_of(home)
    repository = worlds.repository(hub, MINE, worlds.whisper_files(), trees=False)
    (entry,) = scanning.scan(host).entries
    assert [(c.engine, c.model, c.known_by) for c in entry.claims] == [
        ("faster-whisper", MINE, "shape")
    ]
    assert preflight("faster-whisper", model=MINE, host=host).ready
    assert not preflight("faster-whisper", size="tiny", host=host).ready
    snapshot = repository / "snapshots" / worlds.COMMIT
    (snapshot / "tokenizer.json").unlink()
    report = scanning.scan(host)
    grave = [(f.code, f.severity) for f in report.findings if f.severity is not Severity.NOTE]
    assert grave == [("CD104", Severity.WARNING)]
    assert report.statuses[report.entries[0].id] is Status.INCOMPLETE
    worlds.cut(worlds.blob_of(snapshot / "model.bin"), 60)
    codes = {f.code: f.severity for f in scanning.scan(host).findings}
    assert codes["CD201"] is Severity.ERROR


@pytest.mark.parametrize("engine", CONFIGS)
def test_each_shape_has_a_key_of_speech(engine: str, home: Path, host: Host) -> None:
    """A language model in the same layout is nobody's, nor is a processor alone."""
    config, weights = CONFIGS[engine]
    files = {"config.json": json.dumps(config).encode(), weights: builders.safetensors_file()}
    worlds.repository(worlds.hub_of(home), "somebody/speech", files, trees=False)
    other = {**files, "config.json": b'{"model_type": "llama", "vocab_size": 3}'}
    worlds.repository(worlds.hub_of(home), "somebody/words", other, trees=False)
    alone = {"config.json": b'{"model_type": "whisper", "d_model": 4}', "vocab.json": b"{}"}
    worlds.repository(worlds.hub_of(home), "somebody/processor", alone, trees=False)
    claimed = {e.name: e.engines for e in scanning.scan(host).entries if e.claims}
    assert claimed == {"somebody/speech": (engine,)}


def test_names_mean_what_they_meant_to_a_version(host: Host) -> None:
    """`large` of faster-whisper was large-v2 up to 0.9."""
    old = host._replace(engine_versions={"faster-whisper": "0.9.0"})
    assert preflight("faster-whisper", model="large", host=old).model == "large-v2"
    assert preflight("faster-whisper", model="large", host=host).model == "large-v3"


def test_whisper_cpp_bears_eleven_bytes_after_the_end(home: Path, host: Host) -> None:
    """With twelve it takes them for a tensor and crashes."""
    folder = home / ".local" / "share" / "pywhispercpp" / "models"
    folder.mkdir(parents=True)
    whole = builders_models.ggml_whisper()
    for count, ready in ((0, True), (11, True), (12, False)):
        (folder / "ggml-tiny.bin").write_bytes(whole + bytes(count))
        assert preflight("whisper.cpp", model="tiny", host=host).ready is ready, count


def test_whisperkit_is_never_ready_by_name(home: Path, mac: Host) -> None:
    """It asks the hub for a list of files first."""
    from tests.test_places import tokenizer, whisperkit

    base = home / "Documents" / "huggingface" / "models"
    whisperkit(base)
    tokenizer(base / "openai" / "whisper-tiny")
    verdict = preflight("whisperkit", model="tiny", host=mac)
    assert (verdict.ready, verdict.by) == (True, "path")
