"""One small model in each layout, whole and in its usual place, for tests of what surrounds it."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3  # what is imported late cannot be by another user
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.verdict import preflight
from tests.support import builders, builders_models, worlds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cachedoctor.verdict import Verdict

T = TypeVar("T")
IMPORTED = (sqlite3,)
NOBODY = 65534
V3 = ("Preprocessor", "Encoder", "Decoder", "JointDecisionv3")
KIT = "argmaxinc/whisperkit-coreml/openai_whisper-tiny"
GGML = "ggml-parakeet-tdt-0.6b-v3-f32.bin"


class Laid(NamedTuple):
    """One model where its engine looks for it."""

    layout: str
    home: Path
    platform: str
    engine: str
    model: str
    root: Path
    folder: Path  # of the model; for a layout of single files the file itself
    file: Path  # the weights
    usual: tuple[str, ...] = ()  # what is said of it when nothing is wrong: no small true file

    @property
    def host(self) -> Host:
        """Return the home, examined from here."""
        project = self.home / "project"
        return Host.look(
            home=str(self.home),
            platform=self.platform,
            project=str(project) if project.is_dir() else None,
        )

    def codes(self, *, deep: bool = False) -> list[str]:
        """Return the codes of a scan of this engine, sorted."""
        report = scanning.scan(self.host, [self.engine], deep=deep)
        return sorted(finding.code for finding in report.findings)

    def verdict(self) -> Verdict:
        """Ask whether the engine would load it."""
        return preflight(self.engine, model=self.model, host=self.host)

    def folders(self) -> Iterator[Path]:
        """Yield the folders from the home, which is left out, down to the last."""
        for above in (self.root, *self.root.parents):
            if above == self.home:
                break
            yield above
        for base, names, _ in os.walk(self.root):
            yield from (Path(base, name) for name in names)


def hub_cache(home: Path) -> Laid:
    """Put a faster-whisper model into the hub cache."""
    hub = worlds.hub_of(home)
    path = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    file = path / "snapshots" / worlds.COMMIT / "model.bin"
    return Laid("hub-cache", home, "linux", "faster-whisper", "tiny.en", hub, path, file)


def application_support(home: Path) -> Laid:
    """Put a model of FluidAudio's into its folder."""
    root = home / "Library/Application Support/FluidAudio/Models"
    folder = root / "parakeet-tdt-0.6b-v3"
    for name in V3:
        builders.mlmodelc(folder / f"{name}.mlmodelc")
    (folder / "parakeet_vocab.json").write_text(json.dumps({str(n): f"t{n}" for n in range(99)}))
    file = folder / "Encoder.mlmodelc/weights/weight.bin"
    name = "parakeet-tdt-0.6b-v3"
    return Laid("application-support", home, "darwin", "fluidaudio", name, root, folder, file)


def documents(home: Path) -> Laid:
    """Put a variant of WhisperKit's and its tokenizer into Documents."""
    root = home / "Documents/huggingface/models"
    for name in ("AudioEncoder", "MelSpectrogram", "TextDecoder"):
        builders.mlmodelc(root / KIT / f"{name}.mlmodelc")
    tokenizer = root / "openai/whisper-tiny"
    tokenizer.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tokenizer / name).write_text("{}")
    file = root / KIT / "AudioEncoder.mlmodelc/weights/weight.bin"
    name = "openai_whisper-tiny"
    return Laid("documents", home, "darwin", "whisperkit", name, root, root / KIT, file)


def ggml_folder(home: Path) -> Laid:
    """Put a GGML file into pywhispercpp's folder."""
    root = home / ".local/share/pywhispercpp/models"
    root.mkdir(parents=True)
    (root / GGML).write_bytes(builders_models.ggml_parakeet())
    name = "parakeet-tdt-0.6b-v3-f32"
    return Laid("ggml-folder", home, "linux", "whisper.cpp", name, root, root / GGML, root / GGML)


def openai_cdn(home: Path) -> Laid:
    """Put a `.pt` of another length than OpenAI's where whisper-mps looks for it."""
    root = home / ".cache/whisper"
    root.mkdir(parents=True)
    file = root / "tiny.pt"
    file.write_bytes(builders.torch_zip_file())
    return Laid(
        "openai-cdn", home, "linux", "whisper-mps", "tiny", root, file, file, usual=("CD302",)
    )


def local_dir(home: Path) -> Laid:
    """Put a model of lightning-whisper-mlx's into a project."""
    root = home / "project/mlx_models"
    folder = root / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"n_mels": 80}')
    (folder / "weights.npz").write_bytes(builders_models.npz_file())
    file = folder / "weights.npz"
    name = "lightning-whisper-mlx"
    return Laid("local-dir", home, "linux", name, "tiny", root, folder, file)


LAYOUTS = {
    "hub-cache": hub_cache,
    "application-support": application_support,
    "documents": documents,
    "ggml-folder": ggml_folder,
    "openai-cdn": openai_cdn,
    "local-dir": local_dir,
}


def as_nobody(ask: Callable[[], T]) -> T:
    """Run `ask` in a child of another user's, and return its answer; root alone can do that."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            answer: object = ask()
        except BaseException as error:  # noqa: BLE001 - the parent raises it
            answer = error
        with os.fdopen(writer, "wb") as file:
            pickle.dump(answer, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = pickle.load(file)
    os.waitpid(child, 0)
    if isinstance(said, BaseException):
        raise said
    return said  # type: ignore[no-any-return]
