"""States next to those of the table: odd links, edited small files, words and variables."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.support import weights, worlds
from tests.truth import places
from tests.truth.places import CHANGES, OTHER, blob, change
from tests.truth.states import (
    FASTER,
    GGML,
    MLX,
    MLX_NPZ,
    MPS,
    OPENAI,
    PARAKEET,
    SMALL,
    TRANSFORMERS,
    USUAL,
    VERSION_4,
    Asked,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.truth.places import Place
    from tests.truth.states import Build, Hub


def every() -> list[State]:
    """Return every such state."""
    return [*_refs(), *_links(), *_edited(), *_words(), *_variables(), *_files(), *_folders()]


def _edit(hub: Hub, name: str, how: Callable[[dict[str, object]], object]) -> Build:
    """Put a model with one JSON file edited; the manifest still has the original."""

    def build(place: Place) -> None:
        def edited(data: bytes) -> bytes:
            told = json.loads(data)
            return json.dumps(how(told) or told).encode()

        change(hub.put(place) / name, edited)

    return build


def _refs() -> Iterator[State]:
    def ref(hub: Hub, text: bytes) -> Build:
        def build(place: Place) -> None:
            (hub.put(place).parents[1] / "refs" / "main").write_bytes(text)

        return build

    commit = worlds.COMMIT.encode()
    for what, text in {
        "in capitals": commit.upper(),
        "of seven digits": commit[:7],
        "with a carriage return": commit + b"\r\n",
        "with a space before it": b" " + commit,
        "behind a byte order mark": b"\xef\xbb\xbf" + commit,
        "in the way of a git link": b"ref: refs/heads/main\n",
    }.items():
        yield FASTER.state("ref", f"a ref {what}", ref(FASTER, text))
        yield MLX.state("ref", f"a ref {what}", ref(MLX, text))

    def old_whole(place: Place) -> None:
        FASTER.put(place)
        folder = place.repository(FASTER.repository, FASTER.files(), commit=OTHER, ref=None)
        (folder / "model.bin").unlink()

    yield FASTER.state("revision", "half of another revision without a branch", old_whole)

    def pull_request(place: Place) -> Asked:
        FASTER.put(place, ref="refs/pr/1")
        asked = USUAL["faster-whisper"]
        question = (*asked.question, "--revision", "refs/pr/1")
        return asked._replace(question=question, options={"revision": "refs/pr/1"})

    yield FASTER.state("revision", "a pull request that is there is asked for", pull_request)

    def short(place: Place) -> Asked:
        FASTER.put(place)
        asked = USUAL["faster-whisper"]
        question = (*asked.question, "--revision", worlds.COMMIT[:8])
        return asked._replace(question=question, options={"revision": worlds.COMMIT[:8]})

    yield FASTER.state("revision", "a commit is asked for by eight digits", short)


def _links() -> Iterator[State]:
    def chain(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            first = snapshot / hub.weights[0]
            between = snapshot.parents[1] / "between"
            between.symlink_to(blob(first))
            first.unlink()
            first.symlink_to(between)

        return build

    def loop(hub: Hub) -> Build:
        def build(place: Place) -> None:
            first = hub.put(place) / hub.weights[0]
            first.unlink()
            first.symlink_to(first.name)

        return build

    def folder(hub: Hub, name: str) -> Build:
        def build(place: Place) -> None:
            path = hub.put(place) / name
            path.unlink()
            path.mkdir()

        return build

    def hard(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            for name in hub.files():
                real = blob(snapshot / name)
                (snapshot / name).unlink()
                os.link(real, snapshot / name)

        return build

    def to_home(hub: Hub) -> Build:
        def build(place: Place) -> None:
            hub.put(place)
            place.hub.rename(place.home / "elsewhere")
            place.hub.symlink_to("../../elsewhere")

        return build

    for hub in (FASTER, MLX, PARAKEET, TRANSFORMERS):
        yield hub.state("links", "a link to a link", chain(hub))
        yield hub.state("links", "a link to itself", loop(hub))
        yield hub.state("links", "a folder in place of the weights", folder(hub, hub.weights[0]))
        yield hub.state("links", "a folder in place of config.json", folder(hub, "config.json"))
        yield hub.state("links", "hard links", hard(hub))
        yield hub.state("linked elsewhere", "the cache behind a relative link", to_home(hub))


def _edited() -> Iterator[State]:
    """Yield JSON that is well-formed but means something else."""

    def state(hub: Hub, what: str, name: str, how: Callable[[dict[str, object]], object]) -> State:
        return hub.state("small file", what, _edit(hub, name, how))

    def without(key: str) -> Callable[[dict[str, object]], object]:
        return lambda told: told.pop(key, None) and None

    def with_it(key: str, value: object) -> Callable[[dict[str, object]], object]:
        return lambda told: told.update({key: value})

    yield state(FASTER, "config.json has one key more", "config.json", with_it("mine", 1))
    yield state(FASTER, "config.json without lang_ids", "config.json", without("lang_ids"))
    yield state(FASTER, "config.json without suppress_ids", "config.json", without("suppress_ids"))
    yield state(
        FASTER, "config.json without alignment_heads", "config.json", without("alignment_heads")
    )
    yield state(FASTER, "tokenizer.json without a model", "tokenizer.json", without("model"))
    yield state(
        FASTER, "tokenizer.json without added tokens", "tokenizer.json", without("added_tokens")
    )
    yield state(MLX, "config.json has one key more", "config.json", with_it("mine", 1))
    yield state(MLX, "config.json without n_mels", "config.json", without("n_mels"))
    yield state(MLX, "config.json without n_vocab", "config.json", without("n_vocab"))
    yield state(MLX, "config.json of another size", "config.json", with_it("n_audio_state", 512))
    yield state(MLX, "config.json of more layers", "config.json", with_it("n_text_layer", 6))
    yield state(MLX, "config.json of fewer layers", "config.json", with_it("n_text_layer", 2))
    yield state(MLX, "config.json of another vocabulary", "config.json", with_it("n_vocab", 51865))
    yield state(
        MLX,
        "config.json that asks for a quantisation",
        "config.json",
        with_it("quantization", {"group_size": 64, "bits": 4}),
    )
    yield state(PARAKEET, "config.json without target", "config.json", without("target"))
    yield state(PARAKEET, "config.json without encoder", "config.json", without("encoder"))
    yield state(PARAKEET, "config.json without joint", "config.json", without("joint"))
    yield state(
        PARAKEET, "config.json without preprocessor", "config.json", without("preprocessor")
    )
    yield state(PARAKEET, "config.json has one key more", "config.json", with_it("mine", 1))
    for hub in (TRANSFORMERS, SMALL):
        yield state(hub, "config.json has one key more", "config.json", with_it("mine", 1))
        yield state(
            hub, "config.json of another kind", "config.json", with_it("model_type", "bert")
        )
        yield state(hub, "config.json without model_type", "config.json", without("model_type"))
        yield state(
            hub,
            "preprocessor_config.json without its type",
            "preprocessor_config.json",
            without("feature_extractor_type"),
        )
        yield state(hub, "tokenizer.json without a model", "tokenizer.json", without("model"))
        yield state(
            hub,
            "tokenizer_config.json of an unknown class",
            "tokenizer_config.json",
            with_it("tokenizer_class", "NobodysTokenizer"),
        )
    yield state(TRANSFORMERS, "config.json of another size", "config.json", with_it("d_model", 512))
    yield state(
        TRANSFORMERS,
        "config.json of another vocabulary",
        "config.json",
        with_it("vocab_size", 51865),
    )
    yield state(
        TRANSFORMERS, "config.json of more layers", "config.json", with_it("decoder_layers", 6)
    )


def _words() -> Iterator[State]:
    """Yield ways to name a model."""

    def given(hub: Hub, word: str, model: str = "", *, folder: str = "work/mine") -> State:
        def build(place: Place) -> Asked:
            place.folder(place.home / folder, hub.files())
            usual = USUAL[hub.engine]
            said = word.replace("HOME", str(place.home))
            return usual._replace(question=("--model", said), model=model or said)

        return hub.state("name", f"asked for {word}, in {folder}", build)

    for hub in (FASTER, MLX, PARAKEET, TRANSFORMERS):
        yield given(hub, "./mine")
        yield given(hub, "mine/", folder="work/mine")
        yield given(hub, "HOME/mine/", folder="mine")
        yield given(hub, "~/mine", folder="mine")
        yield given(hub, "HOME/nothing", folder="mine")

    def repository(hub: Hub, word: str) -> State:
        def build(place: Place) -> Asked:
            hub.put(place)
            return USUAL[hub.engine]._replace(question=("--model", word), model=word)

        return hub.state("name", f"asked for {word}, the usual one there", build)

    yield repository(FASTER, "systran/faster-whisper-tiny.en")
    yield repository(FASTER, "Systran/faster-whisper-tiny")
    yield repository(FASTER, "tiny")
    yield repository(MLX, "mlx-community/whisper-base")
    yield repository(PARAKEET, "mlx-community/parakeet-tdt-0.6b-v2")
    yield repository(TRANSFORMERS, "openai/whisper-tiny")

    def snapshot(hub: Hub) -> Build:
        def build(place: Place) -> Asked:
            path = str(hub.put(place))
            return USUAL[hub.engine]._replace(question=("--model", path), model=path)

        return build

    for hub in (FASTER, MLX, PARAKEET, TRANSFORMERS):
        yield hub.state("name", "asked for a snapshot by its path", snapshot(hub))

    def file_of(hub: Hub) -> Build:
        def build(place: Place) -> Asked:
            path = str(place.folder(place.home / "mine", hub.files()) / hub.weights[0])
            return USUAL[hub.engine]._replace(question=("--model", path), model=path)

        return build

    for hub in (FASTER, MLX, PARAKEET):
        yield hub.state("name", "asked for the path of the weights", file_of(hub))


def _variables() -> Iterator[State]:
    def moved(hub: Hub, what: str, there: str, **env: str) -> State:
        def build(place: Place) -> Asked:
            place.repository(hub.repository, hub.files(), hub=place.home / there)
            filled = {name: value.replace("HOME", str(place.home)) for name, value in env.items()}
            usual = USUAL[hub.engine]
            if hub is TRANSFORMERS and any("TRANSFORMERS_CACHE" in name for name in env):
                usual = usual._replace(question=(*usual.question, *VERSION_4))
            return usual._replace(env=filled)

        return hub.state("variable", what, build)

    for hub in (FASTER, MLX, PARAKEET, TRANSFORMERS):
        yield moved(
            hub, "HF_HUB_CACHE before HF_HOME", "a", HF_HUB_CACHE="HOME/a", HF_HOME="HOME/b"
        )
        yield moved(
            hub, "HF_HUB_CACHE before the old name", "a",
            HF_HUB_CACHE="HOME/a", HUGGINGFACE_HUB_CACHE="HOME/b",
        )  # fmt: skip
        yield moved(hub, "HF_HUB_CACHE with a slash after it", "a", HF_HUB_CACHE="HOME/a/")
        yield moved(
            hub, "HF_HOME before XDG_CACHE_HOME", "a/hub", HF_HOME="HOME/a", XDG_CACHE_HOME="HOME/b"
        )
        yield moved(hub, "an empty HF_HOME", "work/hub", HF_HOME="")
        yield moved(hub, "a relative HF_HOME", "work/far/hub", HF_HOME="far")
        yield moved(
            hub, "a relative XDG_CACHE_HOME", "work/far/huggingface/hub", XDG_CACHE_HOME="far"
        )
    yield moved(TRANSFORMERS, "TRANSFORMERS_CACHE", "a", TRANSFORMERS_CACHE="HOME/a")
    yield moved(
        TRANSFORMERS, "PYTORCH_TRANSFORMERS_CACHE", "a", PYTORCH_TRANSFORMERS_CACHE="HOME/a"
    )
    yield moved(SMALL, "TRANSFORMERS_CACHE", "a", TRANSFORMERS_CACHE="HOME/a")


def _files() -> Iterator[State]:
    """Yield engines whose models are files."""

    def ggml(cause: str, name: str, build: Build) -> State:
        return GGML.state(cause, name, build)

    def word(said: str, there: str, name: str = "") -> Build:
        def build(place: Place) -> Asked:
            GGML.put(place, there, name)
            told = said.replace("HOME", str(place.home))
            return Asked(("--model", told), told)

        return build

    yield ggml("name", "asked for a relative path", word("./mine/m.bin", "work/mine", "m.bin"))
    yield ggml("name", "asked for a path with ~", word("~/mine/m.bin", "mine", "m.bin"))
    yield ggml("name", "asked for a folder", word("HOME/mine", "mine"))
    yield ggml("name", "tiny, tiny.en there", word("tiny", GGML.folder))
    yield ggml("name", "ggml-tiny.en, as the file is called", word("ggml-tiny.en", GGML.folder))
    yield ggml("name", "TINY.EN", word("TINY.EN", GGML.folder))

    def gone(place: Place) -> None:
        path = place.home / GGML.folder / GGML.name
        path.parent.mkdir(parents=True)
        path.symlink_to(place.home / "gone")

    yield ggml("links", "a link that leads nowhere", gone)

    def in_work(place: Place) -> None:
        GGML.put(place, "work")

    yield ggml("elsewhere", "in the current folder", in_work)

    for flat in (OPENAI, MPS):

        def nowhere(place: Place, folder: str = flat.folder, name: str = flat.name) -> None:
            path = place.home / folder / name
            path.parent.mkdir(parents=True)
            path.symlink_to(place.home / "gone")

        yield flat.state("links", "a link that leads nowhere", nowhere)

        def asks(place: Place, flat: object = flat, said: str = "tiny") -> Asked:
            OPENAI.put(place)
            return Asked(("--model", said), said)

        yield flat.state("name", "tiny, tiny.en there", asks)

        def folder_link(place: Place, flat: object = flat) -> None:
            OPENAI.put(place, "disk")
            (place.home / ".cache").mkdir(exist_ok=True)
            (place.home / ".cache" / "whisper").symlink_to(place.home / "disk")

        yield flat.state("linked elsewhere", "the folder is a link", folder_link)

    def cut_path(place: Place) -> Asked:
        made = OPENAI.put(place, "mine")
        change(made, CHANGES["cut in half"])
        return Asked(("--model", str(made)), str(made))

    yield OPENAI.state("name", "asked for the path of a cut file", cut_path)

    def flipped_path(place: Place) -> Asked:
        made = OPENAI.put(place, "mine")
        change(made, CHANGES["with eight bytes more"])
        return Asked(("--model", str(made)), str(made))

    yield OPENAI.state("name", "asked for the path of a file with more bytes", flipped_path)


def _folders() -> Iterator[State]:
    """Yield two kinds of weights in one folder, and vocabularies."""
    files = FASTER.files()

    def vocabularies(**more: bytes) -> Build:
        def build(place: Place) -> None:
            added = {key.replace("__", "."): text for key, text in more.items()}
            place.repository(FASTER.repository, {**files, **added}, trees=False)

        return build

    yield FASTER.state(
        "alternative", "a bad vocabulary.json beside", vocabularies(vocabulary__json=b"{oops")
    )
    yield FASTER.state(
        "alternative", "an empty vocabulary.json beside", vocabularies(vocabulary__json=b"")
    )
    yield FASTER.state(
        "alternative",
        "a vocabulary.json that is a short list",
        vocabularies(vocabulary__json=b'["a"]'),
    )
    yield FASTER.state(
        "alternative", "a short vocabulary.txt", vocabularies(vocabulary__txt=b"a\nb\n")
    )

    def lightning(what: str, change_of: Callable[[Path], object]) -> State:
        def build(place: Place) -> None:
            folder = place.cwd / "mlx_models" / "tiny"
            change_of(place.folder(folder, places.mlx("weights.npz")))

        return State("lightning-whisper-mlx", "alternative", what, build)

    yield lightning("config.json of another size", lambda path: _write(path, n_audio_state=512))
    yield lightning("config.json with a key more", lambda path: _write(path, mine=1))
    yield MLX_NPZ.state(
        "alternative",
        "weights.npz beside weights.safetensors of nothing",
        lambda place: place.repository(
            MLX.repository, {**MLX_NPZ.files(), "weights.safetensors": b"\x02" + bytes(7) + b"{}"}
        ),
    )
    yield TRANSFORMERS.state(
        "alternative",
        "an index beside whole weights",
        lambda place: place.repository(
            TRANSFORMERS.repository,
            {
                **TRANSFORMERS.files(),
                "model.safetensors.index.json": b'{"weight_map": {"a": "model-00001.safetensors"}}',
            },
            trees=False,
        ),
    )
    yield TRANSFORMERS.state(
        "alternative",
        "a cut pytorch_model.bin beside whole weights",
        lambda place: place.repository(
            TRANSFORMERS.repository,
            {**TRANSFORMERS.files(), "pytorch_model.bin": b"PK\3\4" + bytes(99)},
            trees=False,
        ),
    )

    def other_tokenizer(place: Place) -> None:
        told = json.loads(
            weights.require(weights.faster_whisper_tiny_en).joinpath("tokenizer.json").read_text()
        )
        told["added_tokens"] = told["added_tokens"][:5]
        text = json.dumps(told).encode()
        place.repository(FASTER.repository, {**files, "tokenizer.json": text}, trees=False)

    yield FASTER.state("small file", "a tokenizer of a model that does not speak", other_tokenizer)


def _write(folder: Path, **more: object) -> None:
    path = folder / "config.json"
    told = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**told, **more}))
