"""The states: a home each, the question for `preflight`, and the call of the engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support import builders_models, speech, weights, worlds
from tests.truth import places
from tests.truth.edits import unlink
from tests.truth.places import CHANGES, JSON_CHANGES, OTHER, blob, change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.truth.places import Content, Place

    Build = Callable[[Place], object]  # an `Asked`, or anything else: then as usual


class Asked(NamedTuple):
    """How to ask about a state, if not like the engine's other states."""

    question: tuple[str, ...] = ()  # of `preflight`
    model: str = ""  # what the engine is given
    options: Mapping[str, object] = {}
    env: Mapping[str, str] = {}
    cwd: str = ""  # below the home
    heard: str | None = None
    through: tuple[str, ...] = ()  # a command that both are started by


class State(NamedTuple):
    """One state of one engine's model."""

    engine: str
    cause: str
    name: str
    build: Build


USUAL: Mapping[str, Asked] = {
    "faster-whisper": Asked(("--model", "tiny.en"), "tiny.en"),
    "whisper.cpp": Asked(("--model", "tiny.en"), "tiny.en"),
    "mlx-whisper": Asked(("--model", "tiny"), "mlx-community/whisper-tiny"),
    "lightning-whisper-mlx": Asked(("--model", "tiny"), "tiny"),
    "parakeet-mlx": Asked(
        ("--model", "tdt-0.6b-v3"), "mlx-community/parakeet-tdt-0.6b-v3", heard=""
    ),
    "openai-whisper": Asked(("--model", "tiny.en"), "tiny.en"),
    "whisper-mps": Asked(("--model", "tiny.en"), "tiny.en"),
    "insanely-fast-whisper": Asked(("--model", "tiny.en"), "openai/whisper-tiny.en"),
    "transformers": Asked(("--model", "tiny.en"), "openai/whisper-tiny.en"),
}
HEARD = speech.TRANSCRIPT
# From the environment in which insanely-fast-whisper runs here.
VERSION_4 = ("--engine-version", "transformers=4.46.3")


class Hub(NamedTuple):
    """One engine's model in the hub cache."""

    engine: str
    repository: str
    files: Callable[[], Mapping[str, Content]]
    weights: tuple[str, ...]
    texts: tuple[str, ...] = ()  # JSON
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name of every file to try."""
        return (*self.weights, *self.texts, *self.others)

    def put(self, place: Place, **more: object) -> Path:
        """Put it into the usual hub cache."""
        return place.repository(self.repository, self.files(), **more)  # type: ignore[arg-type]

    def state(self, cause: str, name: str, build: Build) -> State:
        """Return a state of this engine."""
        return State(self.engine, cause, name, build)


FASTER = Hub(
    "faster-whisper",
    worlds.TINY,
    places.faster_whisper,
    ("model.bin",),
    ("config.json", "tokenizer.json"),
    ("vocabulary.txt",),
)
MLX = Hub(
    "mlx-whisper",
    "mlx-community/whisper-tiny",
    lambda: places.mlx("weights.safetensors"),
    ("weights.safetensors",),
    ("config.json",),
)
MLX_NPZ = MLX._replace(files=lambda: places.mlx("weights.npz"), weights=("weights.npz",), texts=())
PARAKEET = Hub(
    "parakeet-mlx",
    "mlx-community/parakeet-tdt-0.6b-v3",
    places.parakeet,
    ("model.safetensors",),
    ("config.json",),
)
TRANSFORMERS = Hub(
    "insanely-fast-whisper",
    "openai/whisper-tiny.en",
    places.transformers,
    ("model.safetensors",),
    ("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json"),
    (
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
        "added_tokens.json",
        "special_tokens_map.json",
        "normalizer.json",
    ),
)
SMALL = TRANSFORMERS._replace(
    engine="transformers",
    weights=(),
    texts=("config.json", "preprocessor_config.json", "tokenizer.json"),  # what it reads
)
HUBS = (FASTER, MLX, MLX_NPZ, PARAKEET, TRANSFORMERS, SMALL)


def every() -> list[State]:
    """Return every state."""
    return [
        *(state for hub in HUBS for state in _of_hub(hub)),
        *_refs(),
        *_links(),
        *_alternatives(),
        *_manifests(),
        *_shadows(),
        *_names(),
        *_variables(),
        *_flat(),
        *_folders(),
    ]


def _without(hub: Hub, *names: str) -> dict[str, Content]:
    return {name: content for name, content in hub.files().items() if name not in names}


def _of_hub(hub: Hub) -> Iterator[State]:
    """Yield a whole model, each file missing, each file with other content."""

    def whole(trees: bool) -> Build:
        return lambda place: hub.put(place, trees=trees)

    def missing(name: str, trees: bool) -> Build:
        def build(place: Place) -> None:
            (hub.put(place, trees=trees) / name).unlink()

        return build

    def dangling(name: str) -> Build:
        return lambda place: blob(hub.put(place, trees=False) / name).unlink()

    def changed(name: str, how: Callable[[bytes], bytes]) -> Build:
        return lambda place: change(hub.put(place) / name, how)

    yield hub.state("whole", f"whole, {'+'.join(hub.weights)}", whole(True))
    yield hub.state("whole", f"whole without a manifest, {'+'.join(hub.weights)}", whole(False))
    for name in hub.names:
        yield hub.state("missing", f"no {name}", missing(name, False))
        yield hub.state("missing", f"no {name}, and a manifest", missing(name, True))
    for name in (*hub.weights, *hub.texts):
        yield hub.state("dangling", f"{name} leads nowhere", dangling(name))
    for name in hub.weights:
        for what, how in CHANGES.items():
            yield hub.state("weights", f"{name} {what}", changed(name, how))
    for name in hub.texts:
        kinds = ("empty", "a page", "a pointer", "cut in half", "flipped")
        for what, how in {**{kind: CHANGES[kind] for kind in kinds}, **JSON_CHANGES}.items():
            yield hub.state("small file", f"{name} {what}", changed(name, how))
    for name in hub.others:
        for what in ("empty", "a page", "a pointer", "cut in half", "flipped"):
            yield hub.state("small file", f"{name} {what}", changed(name, CHANGES[what]))


def _refs() -> Iterator[State]:
    """Yield branches and revisions."""

    def ref(hub: Hub, text: bytes | None) -> Build:
        def build(place: Place) -> None:
            path = hub.put(place).parents[1] / "refs" / "main"
            path.unlink() if text is None else path.write_bytes(text)

        return build

    kinds = {
        "no ref": None,
        "a newline in the ref": worlds.COMMIT.encode() + b"\n",
        "an empty ref": b"",
        "a ref to what is not there": OTHER.encode(),
        "a ref of other words": b"main",
    }
    for hub in (FASTER, MLX, PARAKEET, TRANSFORMERS):
        for what, text in kinds.items():
            yield hub.state("ref", what, ref(hub, text))

    def newer_half(hub: Hub) -> Build:
        def build(place: Place) -> None:
            hub.put(place, ref=None)
            files = _without(hub, hub.weights[0])
            place.repository(hub.repository, files, commit=OTHER, listed=hub.files())

        return build

    def pinned(commit: str) -> Build:
        def build(place: Place) -> Asked:
            FASTER.put(place, ref=None)
            asked = USUAL["faster-whisper"]
            question = (*asked.question, "--revision", commit)
            return asked._replace(question=question, options={"revision": commit})

        return build

    def branch(place: Place) -> Asked:
        FASTER.put(place, ref="v1.0")
        asked = USUAL["faster-whisper"]
        question = (*asked.question, "--revision", "v1.0")
        return asked._replace(question=question, options={"revision": "v1.0"})

    for hub in (FASTER, MLX, PARAKEET, TRANSFORMERS):
        yield hub.state("revision", "the newer revision is half there", newer_half(hub))
    yield FASTER.state("revision", "a commit that is there is asked for", pinned(worlds.COMMIT))
    yield FASTER.state("revision", "a commit that is not there is asked for", pinned(OTHER))
    yield FASTER.state("revision", "a tag that is there is asked for", branch)

    def litter(hub: Hub) -> Build:
        def build(place: Place) -> None:
            folder = hub.put(place).parents[1]
            for name in ("refs", "snapshots", "blobs", f"snapshots/{worlds.COMMIT}"):
                (folder / name / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + bytes(99))
            (folder / "blobs" / ("ab" * 32 + ".incomplete")).write_bytes(b"half")

        return build

    yield FASTER.state("litter", "what Finder and a killed download leave", litter(FASTER))
    yield MLX.state("litter", "what Finder and a killed download leave", litter(MLX))


def _links() -> Iterator[State]:
    """Yield links that the client would not make."""

    def copies(hub: Hub) -> Build:
        def build(place: Place) -> None:
            unlink(hub, place)

        return build

    def absolute(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            for name in hub.files():
                real = blob(snapshot / name)
                (snapshot / name).unlink()
                (snapshot / name).symlink_to(real)

        return build

    def elsewhere(what: str, hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            folder = snapshot.parents[1]
            far = place.home / "disk"
            far.mkdir()
            moved = {
                "the cache": place.hub,
                "the repository": folder,
                "the weights": blob(snapshot / hub.weights[0]),
                "every blob": folder / "blobs",
                "the snapshot": snapshot,
            }[what]
            moved.rename(far / moved.name)
            if what == "the snapshot":
                for name in hub.files():
                    (far / moved.name / name).unlink()
                    target = folder / "blobs" / places._named(name, hub.files()[name])[0]
                    (far / moved.name / name).symlink_to(target)
            moved.symlink_to(far / moved.name)

        return build

    def own_file(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            far = place.home / "disk" / "weights"
            far.parent.mkdir()
            blob(snapshot / hub.weights[0]).rename(far)
            (snapshot / hub.weights[0]).unlink()
            (snapshot / hub.weights[0]).symlink_to(far)

        return build

    for hub in (FASTER, MLX):
        yield hub.state("links", "files in place of links", copies(hub))
        yield hub.state("links", "absolute links", absolute(hub))
        yield hub.state("linked elsewhere", "a snapshot's link leads out", own_file(hub))
        for what in ("the cache", "the repository", "the weights", "every blob", "the snapshot"):
            yield hub.state("linked elsewhere", f"{what} on another disk", elsewhere(what, hub))

    def as_text(place: Place) -> None:
        snapshot = FASTER.put(place)
        for name in FASTER.files():
            target = os.readlink(snapshot / name)
            (snapshot / name).unlink()
            (snapshot / name).write_text(target)

    yield FASTER.state("links", "links saved as text", as_text)


def _alternatives() -> Iterator[State]:  # noqa: PLR0915 - a table
    """Yield files that others replace."""

    def having(hub: Hub, *names: str, **more: Content) -> Build:
        def build(place: Place) -> None:
            files = {name.replace("__", "."): content for name, content in more.items()}
            place.repository(hub.repository, {**_without(hub, *names), **files}, trees=False)

        return build

    def of(hub: Hub, name: str, build: Build) -> State:
        return hub.state("alternative", name, build)

    for hub in (TRANSFORMERS, SMALL):
        small = hub.files()
        only_slow = ("tokenizer.json",)
        yield of(hub, "no tokenizer.json, vocab.json and merges.txt", having(hub, *only_slow))
        for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json"):
            yield of(hub, f"no tokenizer.json, no {name}", having(hub, *only_slow, name))
        slow = ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json")
        yield of(hub, "only tokenizer.json of the tokenizer", having(hub, *slow))
        alone = (*slow, "tokenizer_config.json")
        yield of(hub, "tokenizer.json without its configuration", having(hub, *alone))
        yield of(hub, "no tokenizer at all", having(hub, "tokenizer.json", *alone))
        extractor = small["preprocessor_config.json"]
        assert isinstance(extractor, bytes)
        processor = b'{"processor_class": "WhisperProcessor", "feature_extractor": %s}' % extractor
        yield of(
            hub,
            "processor_config.json in place of preprocessor_config.json",
            having(hub, "preprocessor_config.json", processor_config__json=processor),
        )
    one = "model.safetensors"
    yield of(
        TRANSFORMERS,
        "pytorch_model.bin in place of model.safetensors",
        lambda place: having(TRANSFORMERS, one, pytorch_model__bin=places.pytorch_model())(place),  # noqa: PLW0108 - made late,
    )

    def cut_bin(place: Place) -> None:
        having(TRANSFORMERS, one, pytorch_model__bin=places.pytorch_model())(place)
        folder = place.hub / "models--openai--whisper-tiny.en" / "snapshots" / worlds.COMMIT
        change(folder / "pytorch_model.bin", CHANGES["cut in half"])

    yield of(TRANSFORMERS, "pytorch_model.bin is cut", cut_bin)

    def shards(*shown: str) -> Build:
        def build(place: Place) -> None:
            index = builders_models.shard_index(["model-00001-of-00001.safetensors"])
            files = {**_without(TRANSFORMERS, one), "model.safetensors.index.json": index}
            parts = {"model-00001-of-00001.safetensors": TRANSFORMERS.files()[one]}
            mine = {name: parts[name] for name in shown}
            place.repository(TRANSFORMERS.repository, {**files, **mine}, trees=False)

        return build

    yield of(TRANSFORMERS, "an index without its shard", shards())
    safetensors, npz = "weights.safetensors", "weights.npz"

    def both(broken: str) -> Build:
        def build(place: Place) -> None:
            files = places.mlx(safetensors, npz)
            snapshot = place.repository(MLX.repository, files, trees=False)
            change(snapshot / broken, CHANGES["cut in half"])

        return build

    yield of(MLX, "the first of two weights is cut", both(safetensors))
    yield of(MLX, "the second of two weights is cut", both(npz))

    def renamed(place: Place) -> None:
        files = places.mlx(safetensors)
        moved = {"config.json": files["config.json"], "model.safetensors": files[safetensors]}
        place.repository(MLX.repository, moved, trees=False)

    yield of(MLX, "model.safetensors, which it does not read", renamed)

    def own_tokenizer(place: Place) -> None:
        place.repository(FASTER.repository, _without(FASTER, "tokenizer.json"), trees=False)
        files = {"tokenizer.json": FASTER.files()["tokenizer.json"]}
        place.repository("openai/whisper-tiny.en", files, trees=False)

    def other_tokenizer(place: Place) -> None:
        place.repository(FASTER.repository, _without(FASTER, "tokenizer.json"), trees=False)
        files = {"tokenizer.json": FASTER.files()["tokenizer.json"]}
        place.repository("openai/whisper-tiny", files, trees=False)

    yield of(FASTER, "its tokenizer in `openai/whisper-tiny.en`", own_tokenizer)
    yield of(FASTER, "a tokenizer in `openai/whisper-tiny`", other_tokenizer)

    def vocabulary(place: Place) -> None:
        text = Path(str(FASTER.files()["vocabulary.txt"])).read_text().splitlines()
        import json

        files = {**_without(FASTER, "vocabulary.txt"), "vocabulary.json": json.dumps(text).encode()}
        place.repository(FASTER.repository, files, trees=False)

    yield of(FASTER, "vocabulary.json in place of vocabulary.txt", vocabulary)

    def bins(name: str, drop: tuple[str, ...], **more: bytes) -> State:
        def build(place: Place) -> Asked:
            files = {n: c for n, c in places.faster_whisper_128().items() if n not in drop}
            added = {key.replace("__", "."): text for key, text in more.items()}
            repository = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
            place.repository(repository, {**files, **added}, trees=False)
            return Asked(("--model", "turbo"), "turbo", heard="")

        return of(FASTER, f"128 bins: {name}", build)

    extractor_name = "preprocessor_config.json"
    yield bins("whole", ())
    yield bins(f"no {extractor_name}", (extractor_name,))
    yield bins(f"{extractor_name} {{}}", (), preprocessor_config__json=b"{}")
    yield bins(f"{extractor_name} of 80", (), preprocessor_config__json=b'{"feature_size": 80}')
    yield bins(f"{extractor_name} is no JSON", (), preprocessor_config__json=b"{oops")


def _manifests() -> Iterator[State]:
    """Yield what a manifest lists, and wrong manifests."""

    def listing(hub: Hub, *names: str) -> Build:
        def build(place: Place) -> None:
            hub.put(place, listed=dict.fromkeys(names, b"# of the repository\n"))

        return build

    for hub, names in (
        (FASTER, ("README.md", "preprocessor_config.json", "vocabulary.json", "model.safetensors")),
        (MLX, ("README.md", "weights.npz", "a/b.txt")),
        (PARAKEET, ("README.md",)),
        (TRANSFORMERS, ("README.md", "pytorch_model.bin")),
        (SMALL, ("README.md",)),
    ):
        for name in names:
            yield hub.state("listed", f"{name} is listed and not there", listing(hub, name))

    def manifest(text: bytes) -> Build:
        def build(place: Place) -> None:
            snapshot = MLX.put(place, listed={"README.md": b"# x"})
            (snapshot.parents[1] / "trees" / f"{worlds.COMMIT}.json").write_bytes(text)

        return build

    for what, text in (
        ("is no JSON", b"{oops"),
        ("is of another version", b'{"format_version": 2, "files": {"README.md": {"size": 1}}}'),
        ("lists nothing", b'{"format_version": 1, "files": {}}'),
        (
            "has a row that is none",
            b'{"format_version": 1, "files": {"README.md": {"size": 1}, "x": 3}}',
        ),
    ):
        yield MLX.state("listed", f"the manifest {what}", manifest(text))

    def absent(hub: Hub, name: str) -> Build:
        def build(place: Place) -> None:
            folder = hub.put(place).parents[1]
            place.put(folder / ".no_exist" / worlds.COMMIT / name, b"")

        return build

    def absent_and_missing(hub: Hub, name: str) -> Build:
        def build(place: Place) -> None:
            snapshot = place.repository(hub.repository, _without(hub, name), trees=False)
            place.put(snapshot.parents[1] / ".no_exist" / worlds.COMMIT / name, b"")

        return build

    for hub, name in (
        (FASTER, "model.bin"),
        (FASTER, "tokenizer.json"),
        (MLX, "config.json"),
        (PARAKEET, "config.json"),
        (PARAKEET, "model.safetensors"),
        (TRANSFORMERS, "config.json"),
        (TRANSFORMERS, "model.safetensors"),
        (TRANSFORMERS, "tokenizer.json"),
        (SMALL, "tokenizer.json"),
        (SMALL, "preprocessor_config.json"),
    ):
        yield hub.state("no_exist", f"{name} is there and said not to exist", absent(hub, name))
    for name in ("generation_config.json", "added_tokens.json", "preprocessor_config.json"):
        yield TRANSFORMERS.state(
            "no_exist",
            f"{name} is not there and said so",
            absent_and_missing(TRANSFORMERS, name),
        )


def _shadows() -> Iterator[State]:
    """Yield things in the current folder that have a model's name."""

    def beside(hub: Hub, name: str, what: str) -> State:
        def build(place: Place) -> None:
            hub.put(place)
            path = place.cwd / name
            if what == "an empty folder":
                path.mkdir(parents=True)
            elif what == "a file":
                place.put(path, b"x")
            else:
                place.folder(path, hub.files())

        return hub.state("shadow", f"{what} called {name} beside", build)

    for what in ("an empty folder", "a file", "a whole model"):
        yield beside(FASTER, "tiny.en", what)
        yield beside(FASTER, worlds.TINY, what)
        yield beside(MLX, MLX.repository, what)
        yield beside(MLX, "tiny", what)
        yield beside(PARAKEET, PARAKEET.repository, what)
        yield beside(TRANSFORMERS, TRANSFORMERS.repository, what)
    yield beside(SMALL, SMALL.repository, "an empty folder")


def _names() -> Iterator[State]:
    """Yield an engine's own names for a model, and repositories of other people."""

    def called(hub: Hub, asked: str, repository: str = "") -> State:
        def build(place: Place) -> Asked:
            place.repository(repository or hub.repository, hub.files())
            given = USUAL[hub.engine]
            return given._replace(question=("--model", asked), model=asked)

        where = f" in {repository}" if repository else ""
        return hub.state("name", f"asked for {asked}{where}", build)

    for hub in (FASTER, MLX, PARAKEET, TRANSFORMERS, SMALL):
        yield called(hub, hub.repository)
    for repository in (
        "guillaumekln/faster-whisper-tiny.en",
        "somebody/faster-whisper-tiny.en",
    ):
        yield called(FASTER, "tiny.en", repository)
        yield called(FASTER, repository, repository)
    yield called(MLX, "mlx-community/whisper-turbo", "mlx-community/whisper-turbo")
    yield called(MLX, "somebody/whisper-mine", "somebody/whisper-mine")
    yield called(PARAKEET, "somebody/parakeet-mine", "somebody/parakeet-mine")
    yield called(TRANSFORMERS, "distil-whisper/distil-small.en", "distil-whisper/distil-small.en")

    def by_path(hub: Hub, change_of: str = "") -> State:
        def build(place: Place) -> Asked:
            folder = place.folder(place.home / "mine" / "model", hub.files())
            if change_of:
                change(folder / hub.weights[0], CHANGES[change_of])
            given = USUAL[hub.engine]
            return given._replace(question=("--model", str(folder)), model=str(folder))

        return hub.state("name", f"asked for a path {change_of}".rstrip(), build)

    for hub in (FASTER, MLX, PARAKEET, TRANSFORMERS):
        yield by_path(hub)
        yield by_path(hub, "cut in half")

    def project(hub: Hub) -> Build:
        def build(place: Place) -> None:
            place.repository(hub.repository, hub.files(), hub=place.cwd / "models")

        return build

    yield FASTER.state("elsewhere", "in the project's models/", project(FASTER))
    yield MLX.state("elsewhere", "in the project's models/", project(MLX))

    def turbo(repository: str) -> State:
        def build(place: Place) -> Asked:
            place.repository(repository, places.faster_whisper_128(), trees=False)
            return Asked(("--model", "turbo"), "turbo", heard="")

        return FASTER.state("name", f"turbo in {repository}", build)

    yield turbo("dropbox-dash/faster-whisper-large-v3-turbo")
    yield turbo("deepdml/faster-whisper-large-v3-turbo-ct2")


def _variables() -> Iterator[State]:
    """Yield variables that move the caches."""

    def moved(hub: Hub, what: str, env: Mapping[str, str], there: str) -> State:
        def build(place: Place) -> Asked:
            if there:
                place.repository(hub.repository, hub.files(), hub=place.home / there)
            else:
                hub.put(place)
            filled = {name: value.replace("HOME", str(place.home)) for name, value in env.items()}
            return USUAL[hub.engine]._replace(env=filled)

        return hub.state("variable", what, build)

    for hub in (FASTER, MLX, PARAKEET):
        yield moved(hub, "HF_HUB_CACHE", {"HF_HUB_CACHE": "HOME/far"}, "far")
        yield moved(hub, "HF_HUB_CACHE, the model at home", {"HF_HUB_CACHE": "HOME/far"}, "")
        yield moved(hub, "HF_HOME", {"HF_HOME": "HOME/far"}, "far/hub")
        yield moved(hub, "HF_HOME that is the hub", {"HF_HOME": "HOME/far"}, "far")
        yield moved(hub, "XDG_CACHE_HOME", {"XDG_CACHE_HOME": "HOME/far"}, "far/huggingface/hub")
        yield moved(hub, "HF_HUB_CACHE with ~", {"HF_HUB_CACHE": "~/far"}, "far")
        yield moved(hub, "a relative HF_HUB_CACHE", {"HF_HUB_CACHE": "far"}, "work/far")
        yield moved(hub, "an empty HF_HUB_CACHE", {"HF_HUB_CACHE": ""}, "work")
    yield moved(FASTER, "XDG_CACHE_HOME with ~", {"XDG_CACHE_HOME": "~/far"}, "far/huggingface/hub")
    yield moved(FASTER, "HF_HOME with a variable", {"HF_HOME": "$XDG/f", "XDG": "HOME"}, "f/hub")
    yield moved(FASTER, "HUGGINGFACE_HUB_CACHE", {"HUGGINGFACE_HUB_CACHE": "HOME/far"}, "far")
    yield moved(FASTER, "TRANSFORMERS_CACHE", {"TRANSFORMERS_CACHE": "HOME/far"}, "far")
    yield moved(PARAKEET, "PARAKEET_CACHE_DIR", {"PARAKEET_CACHE_DIR": "HOME/far"}, "far")
    yield moved(
        PARAKEET, "PARAKEET_CACHE_DIR, the model at home", {"PARAKEET_CACHE_DIR": "HOME/far"}, ""
    )


class Flat(NamedTuple):
    """One engine's model that is a file."""

    engine: str
    folder: str
    name: str
    content: Callable[[], Path]

    def put(self, place: Place, folder: str = "", name: str = "") -> Path:
        """Put it into a folder of the home."""
        path = place.home / (folder or self.folder) / (name or self.name)
        return place.put(path, weights.require(self.content))

    def state(self, cause: str, name: str, build: Build) -> State:
        """Return a state of this engine."""
        return State(self.engine, cause, name, build)


GGML = Flat(
    "whisper.cpp",
    ".local/share/pywhispercpp/models",
    "ggml-tiny.en.bin",
    weights.ggml_tiny_en,
)
OPENAI = Flat("openai-whisper", ".cache/whisper", "tiny.en.pt", weights.openai_tiny_en)
MPS = OPENAI._replace(engine="whisper-mps")


def _flat() -> Iterator[State]:
    """Yield engines whose models are files."""
    for flat in (GGML, OPENAI, MPS):
        yield flat.state("whole", "whole", lambda place, f=flat: f.put(place))  # type: ignore[misc]
        yield flat.state("missing", "nothing there", lambda place: None)
        for what, how in CHANGES.items():
            yield flat.state(
                "weights",
                f"{flat.name} {what}",
                lambda place, f=flat, h=how: change(f.put(place), h),  # type: ignore[misc]
            )

        def in_place(place: Place, flat: Flat = flat) -> None:
            (place.home / flat.folder / flat.name).mkdir(parents=True)

        yield flat.state("missing", "a folder in its place", in_place)

        def project(place: Place, flat: Flat = flat) -> None:
            flat.put(place, "work/models")

        yield flat.state("elsewhere", "in the project's models/", project)

        def linked(place: Place, flat: Flat = flat) -> None:
            real = flat.put(place, "disk")
            path = place.home / flat.folder / flat.name
            path.parent.mkdir(parents=True)
            path.symlink_to(real)

        yield flat.state("linked elsewhere", "a link to another disk", linked)

    yield from _whisper_cpp()

    def xdg(flat: Flat, value: str, there: str) -> State:
        def build(place: Place) -> Asked:
            flat.put(place, there)
            value_ = value.replace("HOME", str(place.home))
            return USUAL[flat.engine]._replace(env={"XDG_CACHE_HOME": value_})

        return flat.state("variable", f"XDG_CACHE_HOME={value}, the model in {there}", build)

    for flat in (OPENAI, MPS):
        yield xdg(flat, "HOME/far", "far/whisper")
        yield xdg(flat, "HOME/far", ".cache/whisper")
        yield xdg(flat, "~/far", "far/whisper")
        yield xdg(flat, "far", "work/far/whisper")
        yield xdg(flat, "", "work/whisper")

    def alias(place: Place) -> Asked:
        OPENAI.put(place, name="large-v3-turbo.pt")
        return Asked(("--model", "turbo"), "turbo")

    yield OPENAI.state("name", "tiny.en's bytes as large-v3-turbo.pt", alias)

    def path(place: Place) -> Asked:
        made = OPENAI.put(place, "mine")
        return Asked(("--model", str(made)), str(made))

    yield OPENAI.state("name", "asked for a path", path)


def _whisper_cpp() -> Iterator[State]:
    folder = GGML.folder

    def state(cause: str, name: str, build: Build) -> State:
        return GGML.state(cause, name, build)

    def asked(model: str, question: str = "") -> Asked:
        return Asked(("--model", question or model), model)

    def quantized(place: Place) -> Asked:
        GGML._replace(content=weights.ggml_tiny_en_q8_0, name="ggml-tiny.en-q8_0.bin").put(place)
        return asked("tiny.en-q8_0")

    yield state("whole", "quantised", quantized)

    def other(place: Place) -> None:
        GGML._replace(content=weights.ggml_tiny_en_q8_0).put(place)

    yield state("name", "the quantised file under the plain one's name", other)
    for count in (4, 11, 12, 64):
        yield state(
            "weights",
            f"with {count} zero bytes more",
            lambda place, n=count: change(GGML.put(place), lambda data: data + bytes(n)),  # type: ignore[misc]
        )
    stub = builders_models.ggml_stub()
    yield state("weights", "a stub", lambda p: p.put(p.home / folder / GGML.name, stub))

    for name in ("large", "turbo", "small.en-tdrz", "silero-v5.1.2", "parakeet-tdt-0.6b-v3-f16"):

        def unknown(place: Place, name: str = name) -> Asked:
            GGML.put(place, name=f"ggml-{name}.bin")
            return asked(name)

        yield state("name", f"{name}, which the binding does not know", unknown)

    for name in ("tiny.en", "tiny.en.bin"):

        def plain(place: Place, name: str = name) -> None:
            GGML.put(place, name=name)

        yield state("name", f"{name} in the binding's folder, and nothing else", plain)

        def bad(place: Place, name: str = name) -> None:
            GGML.put(place)
            place.put(place.home / folder / name, b"x")

        yield state("shadow", f"a bad {name} in the binding's folder", bad)

    def mine(place: Place) -> Asked:
        GGML.put(place, name="mine.bin")
        return asked("mine")

    yield state("name", "mine.bin in the binding's folder, asked for mine", mine)

    def by_path(place: Place) -> Asked:
        made = GGML.put(place, "mine")
        return asked(str(made))

    yield state("name", "asked for a path", by_path)

    def by_bad_path(place: Place) -> Asked:
        made = GGML.put(place, "mine")
        change(made, CHANGES["cut in half"])
        return asked(str(made))

    yield state("name", "asked for a path of a cut file", by_bad_path)

    def beside(what: str) -> Build:
        def build(place: Place) -> None:
            GGML.put(place)
            path = place.cwd / "tiny.en"
            path.mkdir() if what == "a folder" else place.put(path, b"x")

        return build

    yield state("shadow", "a file called tiny.en beside", beside("a file"))
    yield state("shadow", "a folder called tiny.en beside", beside("a folder"))

    def encoder(place: Place) -> None:
        GGML.put(place)
        (place.home / folder / "ggml-tiny.en-encoder.mlmodelc").mkdir()

    yield state("alternative", "a hollow Core ML encoder, which this build ignores", encoder)
    for value, there in (
        ("HOME/far", "far/pywhispercpp/models"),
        ("far", "work/far/pywhispercpp/models"),
        ("~/far", "far/pywhispercpp/models"),
        ("", folder),
    ):

        def data(place: Place, value: str = value, there: str = there) -> Asked:
            GGML.put(place, there)
            value = value.replace("HOME", str(place.home))
            return USUAL["whisper.cpp"]._replace(env={"XDG_DATA_HOME": value})

        yield state("variable", f"XDG_DATA_HOME={value}", data)
    for there in ("whisper.cpp/models", ".cache/whisper"):

        def away(place: Place, there: str = there) -> None:
            GGML.put(place, there)

        yield state("elsewhere", f"in ~/{there}", away)


def _folders() -> Iterator[State]:
    """Yield lightning-whisper-mlx's folders in the current one."""
    engine = "lightning-whisper-mlx"

    def files() -> dict[str, Content]:
        return places.mlx("weights.npz")

    def put(place: Place, name: str = "tiny") -> Path:
        return place.folder(place.cwd / "mlx_models" / name, files())

    def state(cause: str, name: str, build: Build) -> State:
        return State(engine, cause, name, build)

    yield state("whole", "whole", put)
    for name in ("config.json", "weights.npz"):
        yield state("missing", f"no {name}", lambda place, n=name: (put(place) / n).unlink())  # type: ignore[misc]
    for what, how in CHANGES.items():
        yield state(
            "weights",
            what,
            lambda place, h=how: change(put(place) / "weights.npz", h),  # type: ignore[misc]
        )
    for what, how in {"cut": CHANGES["cut in half"], **JSON_CHANGES}.items():
        yield state(
            "small file",
            f"config.json {what}",
            lambda place, h=how: change(put(place) / "config.json", h),  # type: ignore[misc]
        )

    def safetensors(place: Place) -> None:
        place.folder(place.cwd / "mlx_models" / "tiny", places.mlx("weights.safetensors"))

    yield state("alternative", "weights.safetensors, which it does not read", safetensors)

    def quantised(place: Place) -> Asked:
        put(place)
        return Asked(("--model", "tiny@4bit"), "tiny", {"quant": "4bit"})

    yield state("name", "asked for 4 bits, the plain one there", quantised)

    yield state(
        "elsewhere",
        "in the home's mlx_models/",
        lambda place: place.folder(place.home / "mlx_models" / "tiny", files()),
    )
