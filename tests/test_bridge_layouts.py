"""The bridges and the catalogue agree on every model: its folder, its files, its alternatives.

The catalogue is the table. `swift/layouts.py` writes it down for Swift, and a bridge that was built
from that says it again; both are compared whole.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor.engines import catalog
from tests.support import bridges

if TYPE_CHECKING:
    from types import ModuleType

    from cachedoctor.vocabulary import FileSet


def layouts() -> ModuleType:
    """Return the module that writes the table down."""
    spec = importlib.util.spec_from_file_location("layouts", bridges.PACKAGE / "layouts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_written_down_as_it_is() -> None:
    """`python swift/layouts.py` would change nothing."""
    made = layouts()
    assert made.WRITTEN.read_text() == made.source()


def required(files: FileSet) -> list[tuple[tuple[str, ...], bool]]:
    """Return what a set of files demands: the names that answer it, and whether it is missed."""
    return sorted((need.names, need.optional) for need in files.requirements if not need.tokenizer)


def said(known: dict[str, Any]) -> list[tuple[tuple[str, ...], bool]]:
    """Return the same of what a bridge knows of a model."""
    bundles = [
        (tuple(f"{name}.mlmodelc" for name in part["any"]), part["optional"])
        for part in known["bundles"]
    ]
    return sorted(bundles + [(tuple(part["any"]), part["optional"]) for part in known["files"]])


@pytest.mark.parametrize("engine", bridges.ENGINES)
def test_a_bridge_says_what_the_catalogue_says(engine: str) -> None:
    """Every model of the version that it was written for, and no other."""
    from tests.test_bridge import Ended

    about = Ended(bridges.real(engine), "info").answer["engine"]
    table = catalog.read(engine)
    current = {
        model.name: files
        for model in table.models.values()
        for files in model.sets
        if catalog.holds(files, about["version"])
    }
    if engine == "whisperkit":  # one kind for all
        (known,) = about["models"]
        assert all(required(files) == said(known) for files in current.values())
        return
    assert {known["name"] for known in about["models"]} == set(current)
    for known in about["models"]:
        assert said(known) == required(current[known["name"]]), known["name"]
        assert known["folder"] == current[known["name"]].folder


def test_every_bundle_has_its_engines_units() -> None:
    """A few that differ, by what their engine's source says of them."""
    units = layouts().units
    assert units("openai_whisper-tiny", "MelSpectrogram") == "cpuAndGPU"
    assert units("openai_whisper-tiny", "TextDecoder") == "cpuAndNeuralEngine"
    assert units("parakeet-tdt-0.6b-v3", "Preprocessor") == "cpuOnly"
    assert units("parakeet-tdt-ctc-110m", "Preprocessor") == "cpuAndNeuralEngine"
    assert units("canary-1b-v2", "DecoderInt8") == "cpuOnly"
    assert units("speaker-diarization-offline", "FBank") == "cpuOnly"
    assert units("sortformer", "v3/fp16/Sortformer_v2.1") == "all"
