"""States that others might think of: calls, copies, names, other people's weights."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import weights, worlds
from tests.truth import making, places
from tests.truth.edits import editing, lacking, reheaded, saying, with_files, within
from tests.truth.places import CHANGES, OTHER, change
from tests.truth.states import (
    FASTER,
    GGML,
    MLX,
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

    from tests.truth.edits import Edit
    from tests.truth.places import Content, Place
    from tests.truth.states import Build, Hub

FOUR = (FASTER, MLX, PARAKEET, TRANSFORMERS)
ONLINE = {"HF_HUB_OFFLINE": "0"}  # and no network, as everywhere


def every() -> list[State]:
    """Return every such state."""
    return [
        *_calls(),
        *_paths(),
        *_copies(),
        *_notes(),
        *_variables(),
        *_small_files(),
        *_weights(),
        *_shards(),
        *_flat(),
        *_folders(),
    ]


def _as_usual(hub: Hub, **more: object) -> Asked:
    return USUAL[hub.engine]._replace(**more)  # type: ignore[arg-type]


def _calls() -> Iterator[State]:
    """Yield ways to call an engine and names for a model."""

    def online(hub: Hub, change_of: str = "") -> Build:
        def build(place: Place) -> Asked:
            snapshot = hub.put(place)
            if change_of:
                (snapshot / change_of).unlink()
            return _as_usual(hub, env=ONLINE)

        return build

    for hub in (*FOUR, SMALL):
        yield hub.state("call", "not offline, and no network", online(hub))
    for hub in FOUR:
        lacks = hub.weights[0]
        yield hub.state("call", f"not offline, no network, no {lacks}", online(hub, lacks))

    def offline_by(hub: Hub, **env: str) -> Build:
        def build(place: Place) -> Asked:
            hub.put(place)
            return _as_usual(hub, env={"HF_HUB_OFFLINE": "", **env})

        return build

    for hub in (FASTER, TRANSFORMERS):
        yield hub.state("call", "TRANSFORMERS_OFFLINE", offline_by(hub, TRANSFORMERS_OFFLINE="1"))
        yield hub.state("call", "HF_HUB_OFFLINE=yes", offline_by(hub, HF_HUB_OFFLINE="yes"))

    def option(hub: Hub, **options: object) -> Build:
        def build(place: Place) -> Asked:
            hub.put(place)
            return _as_usual(hub, options=options)

        return build

    yield FASTER.state("call", "local_files_only", option(FASTER, local_files_only=True))
    yield SMALL.state("call", "local_files_only", option(SMALL, local_files_only=True))

    def word(hub: Hub, said: str) -> State:
        def build(place: Place) -> Asked:
            hub.put(place)
            return _as_usual(hub, question=("--model", said), model=said)

        return hub.state("call", f"asked for {said!r}", build)

    for said in (
        "https://huggingface.co/Systran/faster-whisper-tiny.en",
        "Systran/faster-whisper-tiny.en@main",
        "models--Systran--faster-whisper-tiny.en",
        "Systran/faster-whisper-tiny.en/",
        "faster-whisper-tiny.en",
        "TINY.EN",
        "tiny-en",
        "small",
    ):
        yield word(FASTER, said)
    yield word(MLX, "mlx-community/whisper-tiny/")
    yield word(MLX, "whisper-tiny")
    yield word(TRANSFORMERS, "whisper-tiny.en")
    yield word(TRANSFORMERS, "OpenAI/whisper-tiny.en")
    yield word(PARAKEET, "parakeet-tdt-0.6b-v3")

    def revision(hub: Hub, ref: str, asked: str) -> Build:
        def build(place: Place) -> Asked:
            hub.put(place, ref=ref)
            usual = USUAL[hub.engine]
            question = (*usual.question, "--revision", asked)
            return usual._replace(question=question, options={"revision": asked})

        return build

    yield TRANSFORMERS.state(
        "revision", "a tag that is there is asked for", revision(TRANSFORMERS, "v2", "v2")
    )
    yield TRANSFORMERS.state(
        "revision", "main is there, a tag is asked for", revision(TRANSFORMERS, "main", "v2")
    )
    yield TRANSFORMERS.state(
        "revision",
        "a commit is asked for by all its digits",
        revision(TRANSFORMERS, "main", worlds.COMMIT),
    )
    yield FASTER.state(
        "revision",
        "a commit is asked for in capitals",
        revision(FASTER, "main", worlds.COMMIT.upper()),
    )
    yield FASTER.state("revision", "main, and only master there", _only_branch("master"))


def _only_branch(name: str) -> Build:
    return lambda place: FASTER.put(place, ref=name)


def _paths() -> Iterator[State]:
    """Yield paths, both right ones and those of other folders of the cache."""

    def at(hub: Hub, path: Path | str) -> Asked:
        return _as_usual(hub, question=("--model", str(path)), model=str(path))

    def wrong(hub: Hub, what: str) -> Build:
        def build(place: Place) -> Asked:
            snapshot = hub.put(place)
            return at(
                hub,
                {
                    "the repository's folder": snapshot.parents[1],
                    "the folder of all snapshots": snapshot.parent,
                    "the whole cache": place.hub,
                    "the folder of blobs": snapshot.parents[1] / "blobs",
                }[what],
            )

        return build

    for hub in FOUR:
        yield hub.state("path", "the repository's folder", wrong(hub, "the repository's folder"))
    for what in ("the folder of all snapshots", "the whole cache", "the folder of blobs"):
        yield FASTER.state("path", what, wrong(FASTER, what))

    def local_dir(hub: Hub, *, lacks: str = "", linked: bool = False) -> Build:
        def build(place: Place) -> Asked:
            folder = place.folder(place.home / "downloads" / "model", hub.files())
            notes = folder / ".cache" / "huggingface" / "download"
            for name in hub.files():
                data = (folder / name).read_bytes()
                row = f"{worlds.COMMIT}\n{worlds.etag(name, data)}\n1790000000.0\n"
                place.put(notes / f"{name}.metadata", row.encode())
            place.put(folder / ".cache" / "huggingface" / ".gitignore", b"*")
            if lacks:
                (folder / lacks).unlink()
                (notes / f"{lacks}.metadata").unlink()
                place.put(notes / f"{'ab' * 22}.{'cd' * 32}.incomplete", b"half")
            if linked:
                real = (folder / hub.weights[0]).rename(place.home / "blob")
                (folder / hub.weights[0]).symlink_to(real)
            return at(hub, folder)

        return build

    for hub in FOUR:
        yield hub.state("path", "a folder of `hf download --local-dir`", local_dir(hub))
        yield hub.state(
            "path", "such a folder, half downloaded", local_dir(hub, lacks=hub.weights[0])
        )
        yield hub.state("path", "such a folder with a link to a blob", local_dir(hub, linked=True))

    def spelled(hub: Hub, how: str) -> Build:
        def build(place: Place) -> Asked:
            folder = place.folder(place.home / "my models" / "whisper é", hub.files())
            link = place.home / "link"
            link.symlink_to(folder)
            return at(
                hub,
                {
                    "with a space and an accent": str(folder),
                    "that is a link": str(link),
                    "with two dots": f"{place.cwd}/../my models/whisper é",
                    "with two slashes": f"{place.home}//my models//whisper é",
                    "relative, with two dots": "../my models/whisper é",
                }[how],
            )

        return build

    for hub in (FASTER, MLX, TRANSFORMERS):
        yield hub.state(
            "path", "with a space and an accent", spelled(hub, "with a space and an accent")
        )
    for how in ("that is a link", "with two dots", "with two slashes", "relative, with two dots"):
        yield FASTER.state("path", how, spelled(FASTER, how))


def _copies() -> Iterator[State]:
    """Yield caches that people copied, moved or merged."""

    def without_links(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            for name in hub.files():
                (snapshot / name).unlink()

        return build

    def followed(hub: Hub) -> Build:
        """`cp -rL` and no blobs: what most people carry to another machine."""

        def build(place: Place) -> None:
            snapshot = hub.put(place)
            folder = snapshot.parents[1]
            flat = place.home / "copy"
            shutil.copytree(snapshot, flat, symlinks=False)
            shutil.rmtree(snapshot)
            flat.rename(snapshot)
            shutil.rmtree(folder / "blobs")
            shutil.rmtree(folder / "trees")

        return build

    def only_snapshot(hub: Hub) -> Build:
        def build(place: Place) -> None:
            followed(hub)(place)
            folder = place.hub / f"models--{hub.repository.replace('/', '--')}"
            shutil.rmtree(folder / "refs")

        return build

    for hub in FOUR:
        yield hub.state("copy", "without its links", without_links(hub))
        yield hub.state("copy", "with its links followed, and no blobs", followed(hub))
    yield FASTER.state("copy", "the snapshot alone, no branch", only_snapshot(FASTER))

    def renamed(hub: Hub, how: Callable[[str], str]) -> Build:
        def build(place: Place) -> None:
            folder = hub.put(place).parents[1]
            folder.rename(folder.with_name(how(folder.name)))

        return build

    yield FASTER.state("copy", "a folder in small letters", renamed(FASTER, str.lower))
    yield FASTER.state(
        "copy", "a folder with one dash", renamed(FASTER, lambda n: n.replace("--", "-"))
    )
    yield FASTER.state("copy", "a folder with (1)", renamed(FASTER, lambda n: f"{n} (1)"))
    yield TRANSFORMERS.state("copy", "a folder in capitals", renamed(TRANSFORMERS, str.upper))


def _notes() -> Iterator[State]:
    """Yield caches with the branches, manifests or whole layout of another."""

    def ref_link(hub: Hub) -> Build:
        def build(place: Place) -> None:
            ref = hub.put(place).parents[1] / "refs" / "main"
            ref.rename(ref.with_name("other"))
            ref.symlink_to("other")

        return build

    yield FASTER.state("copy", "a branch that is a link", ref_link(FASTER))

    def tree_link(place: Place) -> None:
        folder = MLX.put(place).parents[1]
        (folder / "trees").rename(place.home / "trees")
        (folder / "trees").symlink_to(place.home / "trees")

    yield MLX.state("copy", "manifests behind a link", tree_link)

    def legacy(place: Place) -> None:
        folder = place.home / ".cache" / "huggingface" / "transformers"
        for number, (name, content) in enumerate(TRANSFORMERS.files().items()):
            stem = f"{number:064x}.{number:064x}"
            place.put(folder / stem, content)
            address = f"https://huggingface.co/openai/whisper-tiny.en/resolve/main/{name}"
            note = json.dumps({"url": address, "etag": f'"{number:064x}"'})
            place.put(folder / f"{stem}.json", note.encode())

    yield TRANSFORMERS.state("copy", "a cache of 2022", legacy)
    yield SMALL.state("copy", "a cache of 2022", legacy)

    def two(hub: Hub, newer: str) -> Build:
        def build(place: Place) -> None:
            hub.put(place, ref=None if newer == "other" else "main")
            place.repository(
                hub.repository, hub.files(), commit=OTHER, ref="main" if newer == "other" else None
            )

        return build

    yield FASTER.state("copy", "two whole revisions, main is one", two(FASTER, "other"))
    yield MLX.state("copy", "two whole revisions, main is the other", two(MLX, "mine"))

    def stale_manifest(hub: Hub, name: str, **row: object) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            path = snapshot.parents[1] / "trees" / f"{worlds.COMMIT}.json"
            told = json.loads(path.read_text())
            told["files"][name] |= row
            path.write_text(json.dumps(told))

        return build

    yield MLX.state("copy", "a manifest without a size", _manifest_without(MLX, "size"))
    yield FASTER.state("copy", "a manifest without digests", _manifest_without(FASTER, "blob_id"))
    yield FASTER.state(
        "copy", "a manifest that lists a folder", stale_manifest(FASTER, "config.json", path="x")
    )


def _manifest_without(hub: Hub, key: str) -> Build:
    def build(place: Place) -> None:
        snapshot = hub.put(place)
        path = snapshot.parents[1] / "trees" / f"{worlds.COMMIT}.json"
        told = json.loads(path.read_text())
        for row in told["files"].values():
            row.pop(key, None)
        path.write_text(json.dumps(told))

    return build


def _variables() -> Iterator[State]:
    """Yield variables, and the paths they lead through."""

    def moved(hub: Hub, what: str, there: str, link: str = "", **env: str) -> State:
        def build(place: Place) -> Asked:
            place.repository(hub.repository, hub.files(), hub=place.home / there)
            if link:
                (place.home / link).parent.mkdir(parents=True, exist_ok=True)
                (place.home / link).symlink_to(place.home / there.partition("/")[0])
            filled = {name: value.replace("HOME", str(place.home)) for name, value in env.items()}
            question = USUAL[hub.engine].question
            if hub is TRANSFORMERS and any("TRANSFORMERS_CACHE" in name for name in env):
                question = (*question, *VERSION_4)
            return _as_usual(hub, env=filled, question=question)

        return hub.state("variable", what, build)

    for hub in FOUR:
        yield moved(hub, "HF_HOME that is a link", "far/hub", "near", HF_HOME="HOME/near")
    yield moved(FASTER, "HF_HUB_CACHE that is a link", "far", "near", HF_HUB_CACHE="HOME/near")
    yield moved(FASTER, "HF_HUB_CACHE with two dots", "far", HF_HUB_CACHE="HOME/work/../far")
    yield moved(FASTER, "HF_HUB_CACHE with a space", "my models", HF_HUB_CACHE="HOME/my models")
    yield moved(FASTER, "HF_HUB_CACHE in quotes", "far", HF_HUB_CACHE='"HOME/far"')
    yield moved(FASTER, "HF_HOME with a space after it", "far/hub", HF_HOME="HOME/far ")
    yield moved(FASTER, "HF_HUB_CACHE with $HOME", "far", HF_HUB_CACHE="$HOME/far")
    yield moved(MLX, "HF_HUB_CACHE with $HOME", "far", HF_HUB_CACHE="$HOME/far")
    yield moved(FASTER, "HF_HUB_CACHE with an unknown variable", "far", HF_HUB_CACHE="$NOBODY/far")
    yield moved(
        FASTER,
        "HF_ENDPOINT of a mirror",
        ".cache/huggingface/hub",
        HF_ENDPOINT="https://hf-mirror.com",
    )
    yield moved(
        TRANSFORMERS,
        "HF_ENDPOINT of a mirror",
        ".cache/huggingface/hub",
        HF_ENDPOINT="https://hf-mirror.com",
    )
    yield moved(
        FASTER, "HF_HUB_DISABLE_SYMLINKS", ".cache/huggingface/hub", HF_HUB_DISABLE_SYMLINKS="1"
    )
    yield moved(SMALL, "HUGGINGFACE_HUB_CACHE", "far", HUGGINGFACE_HUB_CACHE="HOME/far")
    yield moved(TRANSFORMERS, "HUGGINGFACE_HUB_CACHE", "far", HUGGINGFACE_HUB_CACHE="HOME/far")
    yield moved(
        TRANSFORMERS, "HF_HUB_CACHE before TRANSFORMERS_CACHE", "a",
        HF_HUB_CACHE="HOME/a", TRANSFORMERS_CACHE="HOME/b",
    )  # fmt: skip
    yield moved(
        TRANSFORMERS, "TRANSFORMERS_CACHE, HF_HOME beside", "a",
        TRANSFORMERS_CACHE="HOME/a", HF_HOME="HOME/b",
    )  # fmt: skip

    def a_file(place: Place) -> Asked:
        FASTER.put(place)
        place.put(place.home / "far", b"x")
        return _as_usual(FASTER, env={"HF_HUB_CACHE": str(place.home / "far")})

    yield FASTER.state("variable", "HF_HUB_CACHE that is a file", a_file)


_TOKENIZER, _CONFIG = "tokenizer.json", "config.json"
_EXTRACTOR, _GENERATION = "preprocessor_config.json", "generation_config.json"
_EDITS: tuple[tuple[Hub, str, str, Edit], ...] = (
    (FASTER, _TOKENIZER, "of version 2", saying(version="2.0")),
    (FASTER, _TOKENIZER, "with a key more", saying(mine=1)),
    (FASTER, _TOKENIZER, "without a post-processor", lacking("post_processor")),
    (FASTER, _TOKENIZER, "without merges", within("model", lacking("merges"))),
    (FASTER, _TOKENIZER, "of another kind of model", within("model", saying(type="Nobody"))),
    *(
        (hub, name, what, edit)
        for hub in (TRANSFORMERS, SMALL)
        for name, what, edit in (
            (_EXTRACTOR, "without sizes", lacking("n_fft", "hop_length", "feature_size")),
            (_CONFIG, "without architectures", lacking("architectures")),
            (_CONFIG, "of half numbers", saying(torch_dtype="float16")),
        )
    ),
    (TRANSFORMERS, _EXTRACTOR, "of 128 bins", saying(feature_size=128)),
    (TRANSFORMERS, _EXTRACTOR, "of an unknown type", saying(feature_extractor_type="Nobody")),
    (TRANSFORMERS, _CONFIG, "of an unknown type of numbers", saying(torch_dtype="float99")),
    (TRANSFORMERS, _CONFIG, "of another number of heads", saying(encoder_attention_heads=5)),
    (TRANSFORMERS, _CONFIG, "of fewer positions", saying(max_target_positions=100)),
    (TRANSFORMERS, _CONFIG, "of 128 bins", saying(num_mel_bins=128)),
    (TRANSFORMERS, _CONFIG, "of an unknown activation", saying(activation_function="nobody")),
    (TRANSFORMERS, _GENERATION, "of other tokens", saying(no_timestamps_token_id=7)),
    (TRANSFORMERS, _GENERATION, "without times", lacking("no_timestamps_token_id")),
    (MLX, _CONFIG, "with model_type", saying(model_type="whisper")),
    (MLX, _CONFIG, "with null", saying(n_mels=None)),
    (MLX, _CONFIG, "of words", saying(n_text_layer="4")),
    (MLX, _CONFIG, "of 128 bins", saying(n_mels=128)),
    (MLX, _CONFIG, "of other heads", saying(n_audio_head=5)),
    (PARAKEET, _CONFIG, "of an unknown target", saying(target="nobody.Model")),
    (PARAKEET, _CONFIG, "without decoding", lacking("decoding")),
    (PARAKEET, _CONFIG, "of fewer layers", within("encoder", saying(n_layers=0))),
    (PARAKEET, _CONFIG, "of more layers", within("encoder", saying(n_layers=9))),
    (PARAKEET, _CONFIG, "of another size", within("encoder", saying(d_model=256))),
)


def _small_files() -> Iterator[State]:
    """Yield small files with other content."""
    for hub, name, what, edit in _EDITS:
        yield hub.state("small file", f"{name} {what}", editing(hub, name, edit))

    def holds(hub: Hub, name: str, what: str, text: bytes) -> State:
        build = with_files(hub, (), **{name.replace(".", "__"): text})
        return hub.state("small file", f"{name} {what}", build)

    vocabulary = Path(str(FASTER.files()["vocabulary.txt"])).read_bytes()
    for what, text in {
        "with carriage returns": vocabulary.replace(b"\n", b"\r\n"),
        "behind a byte order mark": b"\xef\xbb\xbf" + vocabulary,
        "without its last newline": vocabulary.rstrip(b"\n"),
        "with a line more": vocabulary + b"more\n",
        "with a line less": vocabulary[: vocabulary.rstrip(b"\n").rindex(b"\n") + 1],
    }.items():
        yield holds(FASTER, "vocabulary.txt", what, text)
    for what, text in {
        "{}": b"{}",
        "of 128 bins": b'{"feature_size": 128}',
        "no JSON": b"{oops",
        "a list": b"[]",
        "with an unknown key": b'{"mine": 1}',
    }.items():
        yield holds(FASTER, _EXTRACTOR, what, text)
    yield FASTER.state(
        "small file",
        "shared_vocabulary.txt in place of vocabulary.txt",
        with_files(FASTER, ("vocabulary.txt",), shared_vocabulary__txt=vocabulary),
    )
    for hub in (TRANSFORMERS, SMALL):
        for name in ("special_tokens_map", "added_tokens", "normalizer", "tokenizer_config"):
            yield holds(hub, f"{name}.json", "[]", b"[]")
        for name in ("added_tokens", "tokenizer_config"):
            yield holds(hub, f"{name}.json", "{}", b"{}")
        yield hub.state("small file", "merges.txt without its head", _headless(hub))
    yield holds(MLX, _CONFIG, "of transformers", json.dumps(places.CONFIG).encode())


def _headless(hub: Hub) -> Build:
    def build(place: Place) -> None:
        snapshot = hub.put(place, trees=False)
        change(snapshot / "merges.txt", lambda data: data.partition(b"\n")[2])

    return build


def _weights() -> Iterator[State]:
    """Yield weights that other programs wrote."""

    def header(hub: Hub, what: str, how: Edit) -> State:
        def build(place: Place) -> None:
            change(hub.put(place, trees=False) / hub.weights[0], lambda data: reheaded(data, how))

        return hub.state("header", f"{hub.weights[0]} {what}", build)

    def rename(told: dict[str, object]) -> None:
        name = next(n for n in told if n.endswith("weight") and n != "__metadata__")
        told[f"{name}.mine"] = told.pop(name)

    for hub in (MLX, PARAKEET, TRANSFORMERS):
        yield header(hub, "without metadata", lambda told: told.pop("__metadata__", None))
        yield header(hub, "of format mlx", lambda told: told.update(__metadata__={"format": "mlx"}))
        yield header(
            hub, "of an unknown format", lambda told: told.update(__metadata__={"format": "x"})
        )
        yield header(hub, "with a tensor of another name", rename)
        yield header(
            hub, "with metadata that is no text", lambda told: told.update(__metadata__={"a": 1})
        )

    def others(hub: Hub, content: Callable[[], Content]) -> Build:
        def build(place: Place) -> None:
            place.repository(
                hub.repository, {**hub.files(), hub.weights[0]: content()}, trees=False
            )

        return build

    def of_mlx() -> Content:
        return places.mlx("weights.safetensors")["weights.safetensors"]

    def of_transformers() -> Content:
        return weights.require(weights.safetensors_tiny_en)

    yield MLX.state("others", "weights as transformers names them", others(MLX, of_transformers))
    yield TRANSFORMERS.state("others", "weights as MLX names them", others(TRANSFORMERS, of_mlx))
    yield PARAKEET.state("others", "weights of transformers", others(PARAKEET, of_transformers))
    yield PARAKEET.state("others", "weights of mlx-whisper", others(PARAKEET, of_mlx))
    ggml = weights.ggml_tiny_en
    yield FASTER.state(
        "others", "weights of whisper.cpp", others(FASTER, lambda: weights.require(ggml))
    )
    yield FASTER.state("others", "weights of transformers", others(FASTER, of_transformers))

    def quantised(bits: int, said: int | None) -> Build:
        def build(place: Place) -> None:
            files = making.quantised_mlx(bits)
            told = json.loads(Path(str(files["config.json"])).read_text())
            if said is None:
                told.pop("quantization")
            else:
                told["quantization"]["bits"] = said
            files = {**files, "config.json": json.dumps(told).encode()}
            place.repository(MLX.repository, files, trees=False)

        return build

    yield MLX.state("quantised", "8 bits", quantised(8, 8))
    yield MLX.state(
        "quantised", "8 bits, and the configuration does not say so", quantised(8, None)
    )
    yield MLX.state("quantised", "8 bits, and the configuration says 4", quantised(8, 4))

    def npz(how: str) -> Build:
        def build(place: Place) -> None:
            files = {**places.mlx(), "weights.npz": making.npz(how)}
            place.repository(MLX.repository, files, trees=False)

        return build

    for how in ("compressed", "with an array less", "with an array more", "of 64 bits"):
        yield MLX.state("header", f"weights.npz {how}", npz(how))


def _shards() -> Iterator[State]:
    """Yield weights in parts, and PyTorch's own."""
    one = "model.safetensors"

    def parts(kind: str, *, lacks: int = -1, cut: int = -1, index: bool = True) -> Build:
        def build(place: Place) -> None:
            files = dict(making.parts(kind))
            names = sorted(name for name in files if not name.endswith(".json"))
            if lacks >= 0:
                del files[names[lacks]]
            if not index:
                files = {name: c for name, c in files.items() if not name.endswith(".json")}
            kept = {name: c for name, c in TRANSFORMERS.files().items() if name != one}
            snapshot = place.repository(TRANSFORMERS.repository, {**kept, **files}, trees=False)
            if cut >= 0:
                change(snapshot / names[cut], CHANGES["cut in half"])

        return build

    for kind in ("safetensors", "bin"):
        yield TRANSFORMERS.state("parts", f"{kind} in two parts", parts(kind))
        yield TRANSFORMERS.state("parts", f"{kind}: the second is missing", parts(kind, lacks=1))
        yield TRANSFORMERS.state("parts", f"{kind}: the first is cut", parts(kind, cut=0))
        yield TRANSFORMERS.state("parts", f"{kind}: no index", parts(kind, index=False))

    def other_index(place: Place) -> None:
        parts("safetensors")(place)
        folder = place.hub / "models--openai--whisper-tiny.en" / "snapshots" / worlds.COMMIT
        told = json.loads((folder / "model.safetensors.index.json").read_text())
        told["weight_map"]["mine"] = "model-00003-of-00003.safetensors"
        change(folder / "model.safetensors.index.json", lambda _: json.dumps(told).encode())

    yield TRANSFORMERS.state("parts", "safetensors: the index names a third", other_index)

    def torch_weights(content: Callable[[], Content], **config: object) -> Build:
        def build(place: Place) -> None:
            kept = {name: c for name, c in TRANSFORMERS.files().items() if name != one}
            told = {**places.CONFIG, **config}
            files = {**kept, "config.json": json.dumps(told).encode()}
            files["pytorch_model.bin"] = content()
            place.repository(TRANSFORMERS.repository, files, trees=False)

        return build

    def changed(how: str) -> Callable[[], Content]:
        return lambda: CHANGES[how](places.pytorch_model().read_bytes())

    for how in ("a page", "a pointer", "empty", "cut by a byte", "with a hundred bytes more"):
        yield TRANSFORMERS.state("parts", f"pytorch_model.bin {how}", torch_weights(changed(how)))
    bin_ = places.pytorch_model
    yield TRANSFORMERS.state(
        "parts",
        "pytorch_model.bin, config.json of another size",
        torch_weights(bin_, d_model=512),
    )
    yield TRANSFORMERS.state(
        "parts",
        "pytorch_model.bin, config.json of fewer layers",
        torch_weights(bin_, decoder_layers=2),
    )
    yield TRANSFORMERS.state(
        "parts", "pytorch_model.bin of an older kind", torch_weights(making.legacy_bin)
    )
    yield TRANSFORMERS.state(
        "parts",
        "pytorch_model.bin of openai-whisper",
        torch_weights(lambda: weights.require(weights.openai_tiny_en)),
    )
    for name in ("tf_model.h5", "flax_model.msgpack", "model.fp16.safetensors"):
        content = TRANSFORMERS.files()[one]
        key = {name.replace(".", "__"): content}
        yield TRANSFORMERS.state("parts", f"{name} alone", with_files(TRANSFORMERS, (one,), **key))

    def pointer_first(place: Place) -> None:
        snapshot = place.repository(
            TRANSFORMERS.repository,
            {**TRANSFORMERS.files(), "pytorch_model.bin": places.pytorch_model()},
            trees=False,
        )
        change(snapshot / one, CHANGES["a pointer"])

    yield TRANSFORMERS.state("parts", "a pointer beside a whole pytorch_model.bin", pointer_first)
    yield PARAKEET.state(
        "parts",
        "model.safetensors under a part's name",
        lambda place: place.repository(
            PARAKEET.repository,
            {
                "config.json": PARAKEET.files()["config.json"],
                "model-00001-of-00001.safetensors": PARAKEET.files()[one],
            },
            trees=False,
        ),
    )


def _flat() -> Iterator[State]:
    """Yield models that are files."""

    def at(path: Path | str) -> Asked:
        return Asked(("--model", str(path)), str(path))

    def in_hub(named: bool) -> Build:
        def build(place: Place) -> Asked:
            files = {GGML.name: weights.require(GGML.content)}
            snapshot = place.repository("ggerganov/whisper.cpp", files)
            return USUAL["whisper.cpp"] if named else at(snapshot / GGML.name)

        return build

    yield GGML.state("elsewhere", "in the hub's cache, asked by name", in_hub(True))
    yield GGML.state("elsewhere", "in the hub's cache, asked by path", in_hub(False))

    def accented(place: Place) -> Asked:
        return at(GGML.put(place, "my models/é", "my model.bin"))

    def no_ending(place: Place) -> Asked:
        return at(GGML.put(place, "mine", "model"))

    def through_link(place: Place) -> Asked:
        real = GGML.put(place, "disk")
        link = place.home / "link.bin"
        link.symlink_to(real)
        return at(link)

    def dangling(place: Place) -> Asked:
        link = place.home / "link.bin"
        link.symlink_to(place.home / "gone.bin")
        return at(link)

    yield GGML.state("path", "with a space and an accent", accented)
    yield GGML.state("path", "without an ending", no_ending)
    yield GGML.state("path", "that is a link", through_link)
    yield GGML.state("path", "a link to nothing", dangling)

    def beside(how: str) -> Build:
        def build(place: Place) -> None:
            path = GGML.put(place)
            other = path.with_name("ggml-tiny.en.bin.part")
            other.write_bytes(b"half") if how == "part" else path.rename(other)

        return build

    yield GGML.state("missing", "only a part of a download", beside("renamed"))
    yield GGML.state("litter", "a part of a download beside", beside("part"))

    def foreign(content: Callable[[], Path], name: str) -> Build:
        return lambda place: at(place.put(place.home / "mine" / name, content()))

    yield GGML.state(
        "path",
        "of openai's file",
        foreign(lambda: weights.require(weights.openai_tiny_en), "tiny.en.bin"),
    )
    yield GGML.state(
        "path",
        "of a safetensors file",
        foreign(lambda: weights.require(weights.safetensors_tiny_en), "m.bin"),
    )
    yield OPENAI.state(
        "path", "of transformers' pytorch_model.bin", foreign(places.pytorch_model, "mine.pt")
    )
    yield OPENAI.state(
        "path", "of a GGML file", foreign(lambda: weights.require(weights.ggml_tiny_en), "mine.pt")
    )
    yield OPENAI.state("path", "of an older kind", foreign(making.legacy_openai, "mine.pt"))
    yield OPENAI.state(
        "path",
        "of a file with fewer layers said",
        foreign(making.openai_of_fewer_layers, "mine.pt"),
    )
    yield OPENAI.state(
        "path",
        "with a space and an accent",
        lambda place: at(OPENAI.put(place, "my models/é", "m é.pt")),
    )
    yield OPENAI.state("path", "relative", _relative)
    for flat in (OPENAI, MPS):

        def called(place: Place, said: str = "TINY.EN") -> Asked:
            OPENAI.put(place)
            return at(said)

        yield flat.state("name", "TINY.EN", called)

        def long_name(place: Place, said: str = "openai/whisper-tiny.en") -> Asked:
            OPENAI.put(place)
            return at(said)

        yield flat.state("name", "openai/whisper-tiny.en", long_name)

        def with_ending(place: Place, said: str = "tiny.en.pt") -> Asked:
            OPENAI.put(place)
            return at(said)

        yield flat.state("name", "tiny.en.pt", with_ending)

        def half(place: Place) -> None:
            path = OPENAI.put(place)
            path.rename(path.with_name("tiny.en.pt.part"))

        yield flat.state("missing", "only a part of a download", half)


def _relative(place: Place) -> Asked:
    OPENAI.put(place, "work/mine", "m.pt")
    return Asked(("--model", "mine/m.pt"), "mine/m.pt")


def _folders() -> Iterator[State]:
    """Yield lightning-whisper-mlx's folders."""

    def state(cause: str, name: str, build: Build) -> State:
        return State("lightning-whisper-mlx", cause, name, build)

    def put(place: Place, **more: Content) -> Path:
        files = {**places.mlx("weights.npz"), **{k.replace("__", "."): c for k, c in more.items()}}
        return place.folder(place.cwd / "mlx_models" / "tiny", files)

    def linked(place: Place) -> None:
        put(place)
        (place.cwd / "mlx_models").rename(place.home / "disk")
        (place.cwd / "mlx_models").symlink_to(place.home / "disk")

    yield state("linked elsewhere", "mlx_models/ is a link", linked)
    yield state("missing", "nothing there", lambda _: None)
    for how in ("compressed", "with an array less", "with an array more", "of 64 bits"):
        yield state("header", f"weights.npz {how}", partial(put, weights__npz=making.npz(how)))

    def other_folder(place: Place) -> Asked:
        put(place)
        (place.home / "other").mkdir()
        return USUAL["lightning-whisper-mlx"]._replace(cwd="other")

    yield state("elsewhere", "started in another folder", other_folder)

    def word(said: str) -> State:
        def build(place: Place) -> Asked:
            put(place)
            return Asked(("--model", said), said)

        return state("name", f"asked for {said}", build)

    for said in ("base", "TINY", "mlx-community/whisper-tiny", "nobody"):
        yield word(said)
