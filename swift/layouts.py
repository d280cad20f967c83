"""Write `Sources/BridgeKit/Layouts.swift`: what the bridges know of models, from the catalogue.

The catalogue of `cachedoctor` is the one table of names, folders, files and alternatives; only the
compute units that each engine gives a bundle are said here. `python swift/layouts.py` writes the
file anew; `tests/test_bridge_layouts.py` fails where it is not what this would write.
"""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from cachedoctor.engines import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.engines.catalog import Model
    from cachedoctor.vocabulary import FileSet, Requirement

HERE = Path(__file__).parent
WRITTEN = HERE / "Sources" / "BridgeKit" / "Layouts.swift"

# Source: FluidInference/FluidAudio 0.15.6 `AsrModels.swift`, `CanaryModels.swift`,
# `CoherePipeline.swift`, `ParaformerModels.swift`, `SenseVoiceModels.swift`,
# `UnifiedAsrManager.swift`, `StreamingEouAsrManager.swift`, `CampPlusModels.swift`,
# `FsmnVadModels.swift`, `DiarizerModels.swift`, `OfflineDiarizerModels.swift`,
# `SortformerModelInference.swift`, `LSEENDDiarizer.swift`; the rest takes `ModelHub.loadModels`'s
# default. argmaxinc/argmax-oss-swift 1.1.0 `Models.swift` `ModelComputeOptions`. The first match
# counts; each is a model, a bundle, the units.
_UNITS = (
    ("parakeet-tdt-0.6b-*", "Preprocessor", "cpuOnly"),
    ("parakeet-ja", "Preprocessor", "cpuOnly"),
    ("parakeet-unified-*", "*_encoder*", "cpuAndNeuralEngine"),
    ("parakeet-unified-*", "*", "cpuOnly"),
    ("parakeet-eou-*", "*", "all"),
    ("canary-*", "Preprocessor", "cpuOnly"),
    ("canary-*", "*Int8", "cpuOnly"),
    ("cohere-*", "*", "all"),
    ("paraformer-*", "*Preprocessor", "cpuOnly"),
    ("sensevoice-*", "*Preprocessor", "cpuOnly"),
    ("sensevoice-*", "*_fp32", "all"),
    ("campplus", "*Preprocessor", "cpuOnly"),
    ("campplus", "*", "cpuAndGPU"),
    ("fsmn-vad", "*Preprocessor", "cpuOnly"),
    ("speaker-diarization*", "FBank", "cpuOnly"),
    ("speaker-diarization*", "*", "all"),
    ("sortformer*", "*", "all"),
    ("ls-eend*", "*", "cpuOnly"),
    ("*whisper*", "MelSpectrogram", "cpuAndGPU"),
    ("*", "*", "cpuAndNeuralEngine"),
)
# The transducers, which `AsrModels` takes; the language of those that know only one.
_TRANSCRIBED = {
    "parakeet-tdt-0.6b-v3": None,
    "parakeet-tdt-0.6b-v2": "en",
    "parakeet-tdt-ctc-110m": "en",
    "parakeet-ja": "ja",
}
_ENDING = re.compile(r"\.mlmodelc$")


def versions() -> dict[str, str]:
    """Return the frameworks' versions that `Package.swift` asks for, by engine."""
    package = (HERE / "Package.swift").read_text()
    found = dict(re.findall(r'github\.com/[^/]+/([^"]+)\.git", exact: "([^"]+)"', package))
    return {"whisperkit": found["argmax-oss-swift"], "fluidaudio": found["FluidAudio"]}


def table(engine: str) -> Iterator[tuple[Model, FileSet]]:
    """Go through an engine's models, each as the bridge's version has it; alike ones once."""
    seen = set()
    for model in catalog.read(engine).models.values():
        files = next((s for s in model.sets if catalog.holds(s, versions()[engine])), None)
        alike = model.name if engine == "fluidaudio" else str(files and files.requirements)
        if files is not None and alike not in seen:
            seen.add(alike)
            yield model, files


def source() -> str:
    """Return the whole file."""
    blocks = (
        _layout("whisperKit", "whisperkit", [".mlmodelc", ".mlpackage"]),
        _layout("fluidAudio", "fluidaudio", [".mlmodelc"]),
    )
    return "\n".join(
        (
            "// swift-format-ignore-file",
            "// Written by `python swift/layouts.py` from the catalogue of cachedoctor.",
            "",
            "extension Layout {",
            *blocks,
            "}",
            "",
        )
    )


def units(model: str, bundle: str) -> str:
    """Return the compute units that an engine gives a bundle of a model."""
    name = bundle.rsplit("/", maxsplit=1)[-1]
    return next(u for m, b, u in _UNITS if fnmatch(model, m) and fnmatch(name, b))


def _layout(constant: str, engine: str, endings: list[str]) -> str:
    models = "".join(f"\n{_model(engine, *row)}" for row in table(engine))
    return (
        f"    public static let {constant} = Layout(\n"
        f'        engine: "{engine}", version: "{versions()[engine]}",\n'
        f"        models: [{models}\n        ], endings: {_list(endings)})"
    )


def _model(engine: str, model: Model, files: FileSet) -> str:
    one = engine == "whisperkit"  # all of its models are alike
    name, folder = ("", "") if one else (model.name, files.folder)
    told = [need for need in files.requirements if not need.tokenizer]
    bundles = [need for need in told if _ENDING.search(need.names[0])]
    others = [need for need in told if not _ENDING.search(need.names[0])]
    language = f'"{_TRANSCRIBED[name]}"' if _TRANSCRIBED.get(name) else "nil"
    lines = [
        f'            Model("{name}", folder: "{folder}", '
        f"isTranscribed: {str(one or name in _TRANSCRIBED).lower()}, language: {language},",
        "                bundles: [",
        *(f"                    {_part(model.name, need)}," for need in bundles),
        "                ],",
        f"                files: [{', '.join(_part('', need) for need in others)}]),",
    ]
    return "\n".join(lines)


def _part(model: str, need: Requirement) -> str:
    optional = ", isOptional: true" if need.optional else ""
    if not model:
        return f"Part({_list(need.names)}{optional})"
    names = [_ENDING.sub("", name) for name in need.names]
    given = [units(model, name) for name in names]
    said = f", .{given[0]}" if len(set(given)) == 1 else f", [{', '.join(f'.{u}' for u in given)}]"
    return f"Part({_list(names)}{said}{optional})"


def _list(names: list[str] | tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


if __name__ == "__main__":
    WRITTEN.write_text(source())
