"""States that a stranger would try: two faults at once, odd JSON, copies, other owners."""

from __future__ import annotations

import json
import os
import shutil
import struct
import unicodedata
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import weights, worlds
from tests.truth import making, places
from tests.truth.edits import editing, lacking, reheaded, saying, unlink, with_files, within
from tests.truth.places import CHANGES, OTHER, POINTER, blob, change
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
    from collections.abc import Callable, Iterator, Mapping

    from tests.truth.edits import Edit
    from tests.truth.places import Change, Content, Place
    from tests.truth.states import Build, Flat, Hub

FOUR = (FASTER, MLX, PARAKEET, TRANSFORMERS)
_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"
_WORDS = "tokenizer_config.json"
_EXTRACTOR, _GENERATION = "preprocessor_config.json", "generation_config.json"
# Root without the right to pass over permission bits, which it has otherwise.
_BOUND = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def every() -> list[State]:
    """Return every such state."""
    return [
        *_twice(),
        *_texts(),
        *_relatives(),
        *_others(),
        *_headers(),
        *_copies(),
        *_downloads(),
        *_variables(),
        *_revisions(),
        *_closed(),
        *_places(),
        *_kinds(),
        *_ggml(),
        *_torch(),
        *_lightning(),
    ]


def _asked(hub: Hub, said: object, **more: object) -> Asked:
    usual = USUAL[hub.engine]
    return usual._replace(question=("--model", str(said)), model=str(said), **more)  # type: ignore[arg-type]


def _twice() -> Iterator[State]:  # noqa: PLR0915 - a table
    """Yield two faults at once, and a fault where something else takes its place."""

    def dangling_and_absent(hub: Hub, name: str, *, gone: bool) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place, trees=False)
            if gone:
                blob(snapshot / name).unlink()
            note = snapshot.parents[1] / ".no_exist" / worlds.COMMIT
            for each in hub.names:
                place.put(note / each, b"")

        return build

    for hub in (*FOUR, SMALL):
        yield hub.state(
            "twice", "config.json leads nowhere, all said not to exist",
            dangling_and_absent(hub, _CONFIG, gone=True),
        )  # fmt: skip
        yield hub.state(
            "twice", "all there and all said not to exist",
            dangling_and_absent(hub, _CONFIG, gone=False),
        )  # fmt: skip

    def shadow(hub: Hub, name: str, *, cut_shadow: bool, cut_cache: bool) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            place.folder(place.cwd / name, hub.files())
            if cut_cache:
                change(snapshot / hub.weights[0], CHANGES["cut in half"])
            if cut_shadow:
                change(place.cwd / name / hub.weights[0], CHANGES["cut in half"])

        return build

    for hub, name in (
        (FASTER, "tiny.en"),
        *((hub, hub.repository) for hub in (MLX, PARAKEET, TRANSFORMERS)),
    ):
        yield hub.state(
            "twice", "a whole shadow, a cut cache",
            shadow(hub, name, cut_shadow=False, cut_cache=True),
        )  # fmt: skip
        yield hub.state(
            "twice", "a cut shadow, a whole cache",
            shadow(hub, name, cut_shadow=True, cut_cache=False),
        )  # fmt: skip

    def no_tokenizer(fallback: str, how: str) -> Build:
        def build(place: Place) -> None:
            with_files(FASTER, (_TOKENIZER,))(place)
            files = {_TOKENIZER: FASTER.files()[_TOKENIZER]}
            snapshot = place.repository(fallback, files, trees=False)
            folder = place.hub / "models--Systran--faster-whisper-tiny.en"
            if how == "noted":
                place.put(folder / ".no_exist" / worlds.COMMIT / _TOKENIZER, b"")
            elif how == "cut":
                change(snapshot / _TOKENIZER, CHANGES["cut in half"])
            elif how == "newline":
                (snapshot.parents[1] / "refs" / "main").write_text(f"{worlds.COMMIT}\n")
            elif how == "old":
                ref = snapshot.parents[1] / "refs" / "main"
                ref.write_text(OTHER)
            elif how == "absent":
                place.put(snapshot.parents[1] / ".no_exist" / worlds.COMMIT / _TOKENIZER, b"")

        return build

    for how in ("noted", "cut", "newline", "old", "absent"):
        yield FASTER.state(
            "twice", f"no tokenizer, OpenAI's is {how}", no_tokenizer("openai/whisper-tiny.en", how)
        )

    def two_homes(cut_first: bool) -> Build:
        def build(place: Place) -> None:
            snapshot = FASTER.put(place)
            other = FASTER.put(place, hub=place.cwd / "models")
            change((snapshot if cut_first else other) / "model.bin", CHANGES["cut in half"])

        return build

    yield FASTER.state("twice", "cut at home, whole in the project", two_homes(True))
    yield FASTER.state("twice", "whole at home, cut in the project", two_homes(False))

    def two_revisions(hub: Hub) -> Build:
        def build(place: Place) -> Asked:
            hub.put(place, ref=None)
            snapshot = hub.put(place, commit=OTHER)
            blob(snapshot / _CONFIG).unlink()
            return USUAL[hub.engine]

        return build

    yield FASTER.state("twice", "a blob of two revisions is gone", two_revisions(FASTER))

    def empty_main(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place, ref=None)
            (snapshot.parent / OTHER).mkdir()
            place.put(snapshot.parents[1] / "refs" / "main", OTHER.encode())

        return build

    for hub in FOUR:
        yield hub.state("twice", "main leads to an empty revision", empty_main(hub))

    def turbo_pair(place: Place) -> Asked:
        files = places.faster_whisper_128()
        first = place.repository("mobiuslabsgmbh/faster-whisper-large-v3-turbo", files, trees=False)
        place.repository("dropbox-dash/faster-whisper-large-v3-turbo", files, trees=False)
        change(first / "model.bin", CHANGES["cut in half"])
        return Asked(("--model", "turbo"), "turbo", heard="")

    yield FASTER.state("twice", "turbo cut in one repository, whole in its twin", turbo_pair)


def _twice_said(data: bytes) -> bytes:
    told = json.loads(data)
    key, value = next(iter(told.items()))
    return data.rstrip()[:-1] + f", {json.dumps(key)}: {json.dumps(value)}}}".encode()


def _key_more(text: bytes) -> Change:
    return lambda data: data.rstrip()[:-1] + b', "mine": ' + text + b"}"


TEXTS: Mapping[str, Change] = {
    "with NaN": _key_more(b"NaN"),
    "with Infinity": _key_more(b"-Infinity"),
    "with a huge number": _key_more(b"1e999"),
    "with a long number": _key_more(b"9" * 40),
    "with half a surrogate": _key_more(b'"\\ud800"'),
    "with a tab in a text": _key_more(b'"a\tb"'),
    "with a byte of Latin-1": _key_more(b'"\xe9"'),
    "with a key twice": _twice_said,
    "with a comment": lambda data: b"{ // mine\n" + data.lstrip()[1:],
    "with blanks around": lambda data: b"\n\t " + data + b"\r\n\n ",
    "with a brace after it": lambda data: data + b"}",
    "in UTF-16": lambda data: data.decode().encode("utf-16"),
    "with a NUL after it": lambda data: data + b"\0",
}


def _texts() -> Iterator[State]:
    """Yield JSON that some parsers take and others do not."""
    for hub, names in (
        (FASTER, (_CONFIG, _TOKENIZER)),
        (MLX, (_CONFIG,)),
        (PARAKEET, (_CONFIG,)),
        (SMALL, (_CONFIG, _EXTRACTOR, _TOKENIZER, "tokenizer_config.json")),
        (TRANSFORMERS, (_CONFIG, _GENERATION, _TOKENIZER)),
    ):
        for name in names:
            for what, how in TEXTS.items():

                def build(
                    place: Place, hub: Hub = hub, name: str = name, how: Change = how
                ) -> None:
                    change(hub.put(place, trees=False) / name, how)

                yield hub.state("text", f"{name} {what}", build)

    for what in ("with NaN", "with a key twice", "with a comment", "with a byte of Latin-1"):

        def extractor(place: Place, how: Change = TEXTS[what]) -> Asked:
            files = places.faster_whisper_128()
            text = files[_EXTRACTOR]
            assert isinstance(text, bytes)
            repository = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
            place.repository(repository, {**files, _EXTRACTOR: how(text)}, trees=False)
            return Asked(("--model", "turbo"), "turbo", heard="")

        yield FASTER.state("text", f"128 bins: {_EXTRACTOR} {what}", extractor)


_BASE = {
    "d_model": 512, "encoder_layers": 6, "decoder_layers": 6, "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048, "encoder_attention_heads": 8, "decoder_attention_heads": 8,
}  # fmt: skip
_BASE_OF_MLX = {
    "n_audio_state": 512, "n_text_state": 512, "n_audio_head": 8, "n_text_head": 8,
    "n_audio_layer": 6, "n_text_layer": 6,
}  # fmt: skip


def _base() -> dict[str, Path]:
    folder = weights.require(weights.faster_whisper_base)
    return {path.name: path for path in folder.iterdir()}


def _relatives() -> Iterator[State]:
    """Yield small files of another model of the same family."""

    def of_base(*names: str) -> Build:
        def build(place: Place) -> None:
            base = _base()
            files = {**FASTER.files(), **{name: base[name] for name in names}}
            place.repository(FASTER.repository, files, trees=False)

        return build

    for names in (
        (_CONFIG,),
        (_TOKENIZER,),
        ("vocabulary.txt",),
        (_TOKENIZER, "vocabulary.txt"),
        (_CONFIG, _TOKENIZER, "vocabulary.txt"),
    ):
        yield FASTER.state("relative", f"base's {' and '.join(names)}", of_base(*names))
    yield FASTER.state("relative", "base's weights", of_base("model.bin"))
    yield FASTER.state(
        "relative", "all of base", of_base("model.bin", _CONFIG, _TOKENIZER, "vocabulary.txt")
    )

    def called_base(place: Place) -> Asked:
        place.repository("Systran/faster-whisper-base", FASTER.files(), trees=False)
        return _asked(FASTER, "base")

    yield FASTER.state("relative", "tiny.en's files in base's repository", called_base)
    for hub, name, what, edit in (
        (MLX, _CONFIG, "of base", saying(**_BASE_OF_MLX)),
        (MLX, _CONFIG, "of tiny", saying(n_vocab=51865)),
        (MLX, _CONFIG, "of v3", saying(n_vocab=51866, n_mels=128)),
        (MLX, _CONFIG, "of another text context", saying(n_text_ctx=224)),
        (MLX, _CONFIG, "of another sound context", saying(n_audio_ctx=750)),
        (MLX, _CONFIG, "without heads", lacking("n_text_head")),
        (MLX, _CONFIG, "with quantization of null", saying(quantization=None)),
        (MLX, _CONFIG, "with quantization of {}", saying(quantization={})),
        (TRANSFORMERS, _CONFIG, "of base", saying(**_BASE)),
        (TRANSFORMERS, _CONFIG, "of tiny", saying(vocab_size=51865)),
        (TRANSFORMERS, _CONFIG, "of distil", saying(decoder_layers=2)),
        (TRANSFORMERS, _CONFIG, "without sizes", lacking(*_BASE)),
        (TRANSFORMERS, _CONFIG, "of fewer sound positions", saying(max_source_positions=750)),
        (TRANSFORMERS, _CONFIG, "with words for a size", saying(d_model="384")),
        (TRANSFORMERS, _CONFIG, "with a pad token too high", saying(pad_token_id=60000)),
        (TRANSFORMERS, _CONFIG, "with code of its own",
         saying(auto_map={"AutoConfig": "mine.Config"})),
        (TRANSFORMERS, _CONFIG, "with a quantisation",
         saying(quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})),
        (TRANSFORMERS, _GENERATION, "of a multilingual model",
         saying(is_multilingual=True, lang_to_id={"<|en|>": 50259}, task_to_id={"transcribe": 1})),
        (TRANSFORMERS, _GENERATION, "without alignment heads", lacking("alignment_heads")),
        (TRANSFORMERS, _GENERATION, "with a key more", saying(mine=1)),
        (TRANSFORMERS, _GENERATION, "with max_length of 0", saying(max_length=0)),
        (TRANSFORMERS, _GENERATION, "with sampling", saying(temperature=0.5, do_sample=False)),
        (TRANSFORMERS, _EXTRACTOR, "of another rate", saying(sampling_rate=8000)),
        (TRANSFORMERS, _EXTRACTOR, "of ten seconds", saying(chunk_length=10, n_samples=160000)),
        (TRANSFORMERS, _EXTRACTOR, "with a key more", saying(mine=1)),
        (TRANSFORMERS, _WORDS, "of GPT-2", saying(tokenizer_class="GPT2Tokenizer")),
        (TRANSFORMERS, _WORDS, "without a class", lacking("tokenizer_class")),
        (SMALL, _WORDS, "of GPT-2", saying(tokenizer_class="GPT2Tokenizer")),
        (SMALL, _WORDS, "without a class", lacking("tokenizer_class")),
        (SMALL, _CONFIG, "with code of its own", saying(auto_map={"AutoConfig": "mine.Config"})),
        (SMALL, _EXTRACTOR, "of another class",
         saying(feature_extractor_type="Wav2Vec2FeatureExtractor")),
        (PARAKEET, _CONFIG, "of a CTC model",
         saying(target="nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE")),
        (PARAKEET, _CONFIG, "of a hybrid",
         saying(target="nemo.collections.asr.models.hybrid_rnnt_ctc_bpe_models"
               ".EncDecHybridRNNTCTCBPEModel")),
        (PARAKEET, _CONFIG, "without durations", within("decoding", lacking("durations"))),
        (PARAKEET, _CONFIG, "of RNNT", within("decoding", saying(model_type="rnnt"))),
        (PARAKEET, _CONFIG, "without model_defaults", lacking("model_defaults")),
        (PARAKEET, _CONFIG, "with a shorter vocabulary",
         within("joint", saying(vocabulary=["so"], num_classes=1))),
        (PARAKEET, _CONFIG, "with a vocabulary alone shorter",
         within("joint", saying(vocabulary=["so"]))),
        (PARAKEET, _CONFIG, "with null for the encoder", saying(encoder=None)),
        (PARAKEET, _CONFIG, "with words for a size", within("encoder", saying(d_model="32"))),
        (PARAKEET, _CONFIG, "of 128 features", within("preprocessor", saying(features=128))),
        (PARAKEET, _CONFIG, "of other heads", within("encoder", saying(n_heads=5))),
    ):  # fmt: skip
        yield hub.state("relative", f"{name} {what}", editing(hub, name, edit))


def _others() -> Iterator[State]:  # noqa: PLR0915 - a table
    """Yield other people's repositories, known by their shape or not at all."""

    def mine(
        hub: Hub, name: str, files: Callable[[], Mapping[str, Content]], **more: object
    ) -> State:
        def build(place: Place) -> Asked:
            place.repository(f"somebody/{name}", files(), trees=bool(more.get("trees")))
            return _asked(hub, f"somebody/{name}")

        return hub.state("others", f"somebody/{name}", build)

    def listed(path: Content) -> bytes:
        return json.dumps(Path(str(path)).read_text().splitlines()).encode()

    def conversion(*drop: str, **more: bytes) -> Callable[[], Mapping[str, Content]]:
        def files() -> Mapping[str, Content]:
            added = {name.replace("__", "."): text for name, text in more.items()}
            return {**{n: c for n, c in FASTER.files().items() if n not in drop}, **added}

        return files

    yield mine(
        FASTER, "ct2-with-json",
        lambda: {**conversion("vocabulary.txt")(),
                 "vocabulary.json": listed(FASTER.files()["vocabulary.txt"])},
    )  # fmt: skip
    yield mine(FASTER, "ct2-without-vocabulary", conversion("vocabulary.txt"))
    yield mine(FASTER, "ct2-without-config", conversion(_CONFIG))
    yield mine(FASTER, "ct2-without-tokenizer", conversion(_TOKENIZER))
    yield mine(FASTER, "ct2-with-a-page", conversion(README__md=b"# mine\n"), trees=True)
    yield mine(FASTER, "ct2-with-empty-config", conversion(config__json=b"{}"))
    yield mine(FASTER, "ct2-cut", conversion(model__bin=b"\6\0\0\0\x0c\0WhisperSpec\0"))
    yield mine(FASTER, "only-a-tokenizer", lambda: {_TOKENIZER: FASTER.files()[_TOKENIZER]})
    yield mine(FASTER, "of-transformers", TRANSFORMERS.files)
    yield mine(FASTER, "of-mlx", MLX.files)
    yield mine(MLX, "of-transformers", TRANSFORMERS.files)
    yield mine(MLX, "of-ctranslate2", FASTER.files)
    yield mine(MLX, "in-parts", lambda: {
        _CONFIG: MLX.files()[_CONFIG], "weights.00.safetensors": MLX.files()["weights.safetensors"],
    })  # fmt: skip
    yield mine(MLX, "both-npz-and-model", lambda: {
        **MLX_NPZ.files(), "model.safetensors": MLX.files()["weights.safetensors"],
    })  # fmt: skip
    yield mine(MLX, "pointer-and-npz", lambda: {**MLX_NPZ.files(), "weights.safetensors": POINTER})
    yield mine(MLX, "safetensors-and-pointer", lambda: {**MLX.files(), "weights.npz": POINTER})
    yield mine(MLX, "8-bits", lambda: making.quantised_mlx(8))
    language = b'{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2}'
    yield mine(MLX, "llama", lambda: {**MLX.files(), _CONFIG: language})
    yield mine(PARAKEET, "whisper", MLX.files)
    yield mine(PARAKEET, "parakeet-fork", lambda: {
        **PARAKEET.files(), "tokenizer.model": b"x", "vocab.txt": b"so\n", "README.md": b"x",
    })  # fmt: skip
    yield mine(PARAKEET, "parakeet-nemo-only", lambda: {"parakeet.nemo": b"x" * 99})
    yield mine(PARAKEET, "parakeet-npz", lambda: {
        _CONFIG: PARAKEET.files()[_CONFIG],
        "weights.safetensors": PARAKEET.files()["model.safetensors"],
    })  # fmt: skip
    yield mine(PARAKEET, "parakeet-pointer", lambda: {
        **PARAKEET.files(), "model.safetensors": POINTER,
    })  # fmt: skip
    adapter = json.dumps({"peft_type": "LORA", "base_model_name_or_path": "openai/whisper-tiny.en"})
    lora = {
        "adapter_config.json": adapter.encode(),
        "adapter_model.safetensors": b"\2" + bytes(7) + b"{}",
    }
    yield mine(TRANSFORMERS, "lora", lambda: dict(lora))
    yield mine(TRANSFORMERS, "lora-beside", lambda: {**TRANSFORMERS.files(), **lora})
    yield mine(TRANSFORMERS, "processor-only", lambda: {
        n: c for n, c in TRANSFORMERS.files().items() if n not in (_CONFIG, "model.safetensors")
    })  # fmt: skip
    yield mine(TRANSFORMERS, "of-ctranslate2", FASTER.files)
    yield mine(TRANSFORMERS, "of-mlx", MLX.files)
    yield mine(TRANSFORMERS, "fp16-name", lambda: {
        **{n: c for n, c in TRANSFORMERS.files().items() if n != "model.safetensors"},
        "model.fp16.safetensors": TRANSFORMERS.files()["model.safetensors"],
    })  # fmt: skip
    yield mine(TRANSFORMERS, "weights-and-config-only", lambda: {
        name: TRANSFORMERS.files()[name] for name in (_CONFIG, "model.safetensors")
    })  # fmt: skip
    yield mine(TRANSFORMERS, "whisper-mine", TRANSFORMERS.files)
    yield mine(TRANSFORMERS, "training-leftovers", lambda: {
        **TRANSFORMERS.files(), "optimizer.pt": b"x", "training_args.bin": b"x",
        "checkpoint-10/model.safetensors": b"x", "trainer_state.json": b"{}",
    })  # fmt: skip

    def index(edit: Callable[[dict[str, object]], object], **more: object) -> Build:
        def build(place: Place) -> None:
            files = dict(making.parts("safetensors"))
            name = "model.safetensors.index.json"
            told = json.loads(Path(str(files[name])).read_text())
            edited = edit(told)
            text = edited if isinstance(edited, bytes) else json.dumps(told).encode()
            kept = {n: c for n, c in TRANSFORMERS.files().items() if n != "model.safetensors"}
            files[name] = text
            if more.get("bin"):
                kept["pytorch_model.bin"] = places.pytorch_model()
            if more.get("lacks"):
                del files[str(more["lacks"])]
            place.repository(TRANSFORMERS.repository, {**kept, **files}, trees=False)

        return build

    first = "model-00001-of-00002.safetensors"
    for what, build in (
        ("no metadata", index(lacking("metadata"))),
        ("another size", index(lambda told: told["metadata"].update(total_size=1))),  # type: ignore[attr-defined]
        ("no map", index(lacking("weight_map"))),
        ("an empty map", index(saying(weight_map={}))),
        ("no JSON", index(lambda _: b"{oops")),
        ("a byte order mark", index(lambda told: b"\xef\xbb\xbf" + json.dumps(told).encode())),
        ("a name with a folder", index(lambda told: told["weight_map"].update(x=f"a/{first}"))),  # type: ignore[attr-defined]
        ("a name less", index(lambda told: told["weight_map"].popitem())),  # type: ignore[attr-defined]
        ("a part missing, a whole pytorch_model.bin", index(lambda _: None, bin=1, lacks=first)),
    ):
        yield TRANSFORMERS.state("others", f"an index with {what}", build)

    def distil(word: str, repository: str, *, wide: bool) -> State:
        def build(place: Place) -> Asked:
            files = places.faster_whisper_128() if wide else FASTER.files()
            place.repository(repository, files, trees=False)
            return Asked(("--model", word), word, heard="" if wide else None)

        return FASTER.state("others", f"{word} in {repository}", build)

    yield distil("distil-small.en", "Systran/faster-distil-whisper-small.en", wide=False)
    yield distil("distil-medium.en", "distil-whisper/distil-medium.en", wide=False)
    yield distil("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2", wide=True)
    yield distil("large", "Systran/faster-whisper-large-v3", wide=True)
    yield distil("large", "Systran/faster-whisper-large-v2", wide=False)
    yield distil("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo", wide=True)
    yield distil("large-v3", "Systran/faster-whisper-large-v3", wide=False)


def _headers() -> Iterator[State]:  # noqa: PLR0915 - a table
    """Yield weights that are laid out in another way."""

    def rewritten(how: Callable[[bytes], bytes], hub: Hub) -> Build:
        return lambda place: change(hub.put(place, trees=False) / hub.weights[0], how)

    def split(data: bytes) -> tuple[bytes, bytes]:
        (length,) = struct.unpack_from("<Q", data)
        return data[8 : 8 + length], data[8 + length :]

    def joined(header: bytes, body: bytes) -> bytes:
        return struct.pack("<Q", len(header)) + header + body

    def padded(data: bytes) -> bytes:
        header, body = split(data)
        return joined(header + b" " * 4096, body)

    def lined(data: bytes) -> bytes:
        header, body = split(data)
        return joined(header.rstrip() + b"\n" * 8, body)

    def blank_first(data: bytes) -> bytes:
        header, body = split(data)
        return joined(b" " + header, body)

    def odd(data: bytes) -> bytes:
        header, body = split(data)
        return joined(header.rstrip() + b" " * (1 + len(header.rstrip()) % 2), body)

    def turned(data: bytes) -> bytes:
        def edit(told: dict[str, object]) -> None:
            rows = list(told.items())
            told.clear()
            told.update(reversed(rows))

        return reheaded(data, edit)

    def gap(data: bytes) -> bytes:
        header, body = split(data)
        told = json.loads(header)
        for name, row in told.items():
            if name != "__metadata__":
                row["data_offsets"] = [at + 64 for at in row["data_offsets"]]
        return joined(json.dumps(told).encode(), bytes(64) + body)

    def nothing_more(data: bytes) -> bytes:
        def edit(told: dict[str, object]) -> None:
            end = max(row["data_offsets"][1] for n, row in told.items() if n != "__metadata__")  # type: ignore[index]
            told["nothing"] = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}

        return reheaded(data, edit)

    def extra(data: bytes) -> bytes:
        header, body = split(data)
        told = json.loads(header)
        told["mine"] = {"dtype": "F32", "shape": [2], "data_offsets": [len(body), len(body) + 8]}
        return joined(json.dumps(told).encode(), body + bytes(8))

    def unknown_key(data: bytes) -> bytes:
        def edit(told: dict[str, object]) -> None:
            name = next(n for n in told if n != "__metadata__")
            told[name]["mine"] = 1  # type: ignore[index]

        return reheaded(data, edit)

    def one_less(data: bytes) -> bytes:
        """Leave out the tensor whose data comes last."""
        header, body = split(data)
        told = json.loads(header)
        last = max(
            (n for n in told if n != "__metadata__"), key=lambda n: told[n]["data_offsets"][1]
        )
        begin = told.pop(last)["data_offsets"][0]
        return joined(json.dumps(told).encode(), body[:begin])

    def other_type(data: bytes) -> bytes:
        header, body = split(data)
        told = json.loads(header)
        names = [name for name in told if name != "__metadata__"]
        name = next((n for n in names if told[n]["dtype"] == "F16"), names[0])
        told[name]["dtype"] = {"F16": "BF16", "F32": "I32", "BF16": "F16"}[told[name]["dtype"]]
        return joined(json.dumps(told).encode(), body)

    changes: Mapping[str, Change] = {
        "with a padded header": padded,
        "with a header that ends in newlines": lined,
        "with a blank before its header": blank_first,
        "with a header of odd length": odd,
        "with its header turned round": turned,
        "with a gap before its data": gap,
        "with an empty tensor more": nothing_more,
        "with a tensor more": extra,
        "with a key that nobody knows": unknown_key,
        "without its last tensor": one_less,
        "with a tensor of another type": other_type,
    }
    for hub in (MLX, PARAKEET, TRANSFORMERS):
        for what, how in changes.items():
            yield hub.state("header", f"{hub.weights[0]} {what}", rewritten(how, hub))

    def npz(what: str, how: Change) -> State:
        return MLX.state(
            "header",
            f"weights.npz {what}",
            lambda place: change(MLX_NPZ.put(place, trees=False) / "weights.npz", how),
        )

    yield npz("behind other bytes", lambda data: b"MZ mine" + data)
    yield npz("with a comment", lambda data: data[:-2] + b"\4\0mine")
    yield npz("with a comment too long", lambda data: data[:-2] + b"\4\0min")
    yield npz("without its directory", lambda data: data[: data.rindex(b"PK\5\6")])
    yield npz("with a second directory", lambda data: data + data[data.rindex(b"PK\5\6") :])
    yield npz("with nothing in it", lambda _: b"PK\5\6" + bytes(18))
    yield npz("with a checksum changed", _bad_checksum)

    def bin_(what: str, how: Change) -> State:
        return FASTER.state("header", f"model.bin {what}", rewritten(how, FASTER))

    yield bin_("of version 5", lambda data: b"\5" + data[1:])
    yield bin_("of version 7", lambda data: b"\7" + data[1:])
    yield bin_(
        "of another specification", lambda d: d.replace(b"WhisperSpec\0", b"WhisperSpex\0", 1)
    )
    yield bin_("of another revision", _other_revision)
    yield bin_("without its aliases", lambda data: data[:-4])
    name = b"decoder/layer_0/ffn/linear_0/weight"
    yield bin_("with another name", lambda data: data.replace(name, name[:-1] + b"s", 1))


def _bad_checksum(data: bytes) -> bytes:
    at = data.index(b"PK\3\4") + 14
    return data[:at] + bytes(b ^ 0xFF for b in data[at : at + 4]) + data[at + 4 :]


def _other_revision(data: bytes) -> bytes:
    at = data.index(b"WhisperSpec\0") + len(b"WhisperSpec\0")
    return data[:at] + struct.pack("<I", 99) + data[at + 4 :]


def _copies() -> Iterator[State]:  # noqa: PLR0915 - a table
    """Yield caches and folders that other tools carried here."""

    def zipped(hub: Hub) -> Build:
        """`zip -y` unpacked on a system without links: each holds where it led."""

        def build(place: Place) -> None:
            snapshot = hub.put(place)
            for name in hub.files():
                target = os.readlink(snapshot / name)
                (snapshot / name).unlink()
                (snapshot / name).write_text(target)

        return build

    def emptied(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            for name in hub.files():
                (snapshot / name).unlink()
                (snapshot / name).touch()

        return build

    def other_host(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            for name in hub.files():
                (snapshot / name).unlink()
                (snapshot / name).symlink_to(f"/home/nobody/.cache/huggingface/hub/blobs/{name}")

        return build

    def part(hub: Hub, lost: str) -> Build:
        def build(place: Place) -> None:
            folder = hub.put(place).parents[1]
            shutil.rmtree(folder / lost)

        return build

    def windows(hub: Hub) -> Build:
        def build(place: Place) -> None:
            shutil.rmtree(unlink(hub, place).parents[1] / "blobs")

        return build

    def blobs_only(hub: Hub) -> Build:
        def build(place: Place) -> None:
            folder = hub.put(place).parents[1]
            shutil.rmtree(folder / "snapshots")
            shutil.rmtree(folder / "refs")

        return build

    def colons(place: Place) -> None:
        folder = FASTER.put(place).parents[1]
        folder.rename(folder.with_name(f"._{folder.name}"))

    def doubles(hub: Hub) -> Build:
        def build(place: Place) -> None:
            snapshot = hub.put(place)
            for name in hub.files():
                (snapshot / f"._{name}").write_bytes(b"\0\5\x16\7" + bytes(60))
            (snapshot / "desktop.ini").write_text("[.ShellClassInfo]\n")
            (snapshot / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
            (snapshot / "Icon\r").touch()

        return build

    for hub in (*FOUR, SMALL):
        yield hub.state("copy", "as a tool that saves links as text", zipped(hub))
        yield hub.state("copy", "files emptied", emptied(hub))
        yield hub.state("copy", "links of another machine", other_host(hub))
        yield hub.state("copy", "no refs/", part(hub, "refs"))
        yield hub.state("copy", "as on Windows", windows(hub))
        yield hub.state("copy", "blobs only", blobs_only(hub))
        yield hub.state("copy", "doubles of macOS beside", doubles(hub))
    for hub in (MLX, TRANSFORMERS):
        yield hub.state("copy", "no snapshots/", part(hub, "snapshots"))
        yield hub.state("copy", "no blobs/", part(hub, "blobs"))
    yield FASTER.state("copy", "a double of macOS alone", colons)

    def clone(hub: Hub, *pointers: str, git: bool = True) -> Build:
        def build(place: Place) -> Asked:
            folder = place.folder(place.home / "clone", hub.files())
            for name in pointers:
                change(folder / name, lambda _: POINTER)
            if git:
                place.put(folder / ".git" / "HEAD", b"ref: refs/heads/main\n")
                place.put(folder / ".git" / "lfs" / "objects" / "1a" / "1a" / ("1a" * 32), b"x")
                place.put(folder / ".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n")
            return _asked(hub, folder)

        return build

    for hub in FOUR:
        yield hub.state("copy", "a clone", clone(hub))
        yield hub.state("copy", "a clone with pointers", clone(hub, *hub.weights))
    yield FASTER.state("copy", "a clone, its tokenizer a pointer", clone(FASTER, _TOKENIZER))
    yield TRANSFORMERS.state(
        "copy", "a clone, its tokenizer a pointer", clone(TRANSFORMERS, _TOKENIZER)
    )

    def nested(hub: Hub) -> Build:
        def build(place: Place) -> Asked:
            place.folder(place.home / "clone" / "model", hub.files())
            return _asked(hub, place.home / "clone")

        return build

    for hub in FOUR:
        yield hub.state("copy", "a folder in a folder", nested(hub))

    def links_to_blobs(hub: Hub) -> Build:
        """`cp -a` of a snapshot: its links lead two folders up, where nothing is."""

        def build(place: Place) -> Asked:
            snapshot = hub.put(place)
            shutil.copytree(snapshot, place.home / "copied", symlinks=True)
            return _asked(hub, place.home / "copied")

        return build

    for hub in FOUR:
        yield hub.state("copy", "a snapshot copied with its links", links_to_blobs(hub))


def _downloads() -> Iterator[State]:
    """Yield folders of `--local-dir`, older ones and those that something happened to."""

    def folder_of(hub: Hub, what: str) -> Build:
        def build(place: Place) -> Asked:
            folder = place.folder(place.home / "downloads" / hub.repository, hub.files())
            kept = ".huggingface" if what == "of an old client" else ".cache/huggingface"
            notes = folder / kept / "download"
            for name in hub.files():
                data = (folder / name).read_bytes()
                etag = worlds.etag(name, data) if what != "with other notes" else "ab" * 20
                row = f"{worlds.COMMIT}\n{etag}\n1790000000.0\n"
                place.put(notes / f"{name}.metadata", row.encode())
                place.put(notes / f"{name}.lock", b"")
            first = hub.weights[0]
            if what == "with a cut file":
                change(folder / first, CHANGES["cut in half"])
            elif what == "with a partial beside":
                place.put(notes / f"{first}.{'cd' * 32}.incomplete", b"half")
            elif what == "with notes alone":
                for name in hub.files():
                    (folder / name).unlink()
            elif what == "with bad notes":
                for note in notes.glob("*.metadata"):
                    note.write_bytes(b"\xff\n")
            elif what == "without its configuration":
                (folder / _CONFIG).unlink()
            return _asked(hub, folder)

        return build

    for what in (
        "of an old client",
        "with other notes",
        "with a cut file",
        "with a partial beside",
        "with notes alone",
        "with bad notes",
        "without its configuration",
    ):
        for hub in FOUR:
            yield hub.state("download", f"`--local-dir` {what}", folder_of(hub, what))


def _variables() -> Iterator[State]:
    """Yield variables of odd values."""

    def moved(hub: Hub, what: str, there: str, **env: str) -> State:
        def build(place: Place) -> Asked:
            place.repository(hub.repository, hub.files(), hub=place.home / there)
            filled = {name: value.replace("HOME", str(place.home)) for name, value in env.items()}
            question = USUAL[hub.engine].question
            if hub is TRANSFORMERS and "TRANSFORMERS_CACHE" in env:
                question = (*question, *VERSION_4)
            return USUAL[hub.engine]._replace(env=filled, question=question)

        return hub.state("variable", what, build)

    usual = ".cache/huggingface/hub"
    for hub in FOUR:
        yield moved(hub, "HF_HUB_OFFLINE=TRUE", usual, HF_HUB_OFFLINE="TRUE")
        yield moved(hub, "HF_HOME with a slash after it", "far/hub", HF_HOME="HOME/far/")
        yield moved(hub, "HF_HOME with ~", "far/hub", HF_HOME="~/far")
        yield moved(hub, "an empty XDG_CACHE_HOME", "work/huggingface/hub", XDG_CACHE_HOME="")
        yield moved(hub, "an empty XDG_CACHE_HOME, the model at home", usual, XDG_CACHE_HOME="")
        yield moved(hub, "HF_HUB_CACHE that is a dot", "work", HF_HUB_CACHE=".")
    yield moved(FASTER, "HF_HOME of two dots", "hub", HF_HOME="..")
    yield moved(
        FASTER, "HF_HOME of nothing there, the model at home", usual, HF_HOME="/nonexistent"
    )
    yield moved(FASTER, "HF_HUB_CACHE with two slashes", "far/x", HF_HUB_CACHE="HOME/far//x")
    yield moved(FASTER, "HF_HUB_CACHE with a brace", "far", HF_HUB_CACHE="${HOME}/far")
    yield moved(FASTER, "HF_HUB_CACHE of another user's ~", "far", HF_HUB_CACHE="~nobody/far")
    yield moved(FASTER, "HF_HUB_CACHE with a newline", "far", HF_HUB_CACHE="HOME/far\n")
    yield moved(FASTER, "HF_HUB_CACHE with an accent", "größe", HF_HUB_CACHE="HOME/größe")
    yield moved(FASTER, "HF_HUB_CACHE with a file:", "far", HF_HUB_CACHE="file://HOME/far")
    yield moved(FASTER, "hf_hub_cache in small letters", "far", hf_hub_cache="HOME/far")
    yield moved(FASTER, "HF_DATASETS_CACHE", "far", HF_DATASETS_CACHE="HOME/far")
    yield moved(FASTER, "HF_HUB_DISABLE_XET", usual, HF_HUB_DISABLE_XET="1")
    yield moved(FASTER, "HF_TOKEN of rubbish", usual, HF_TOKEN="hf_mine")
    yield moved(FASTER, "HF_HUB_ENABLE_HF_TRANSFER", usual, HF_HUB_ENABLE_HF_TRANSFER="1")
    yield moved(TRANSFORMERS, "an empty TRANSFORMERS_CACHE", usual, TRANSFORMERS_CACHE="")
    yield moved(SMALL, "an empty TRANSFORMERS_CACHE", usual, TRANSFORMERS_CACHE="")
    yield moved(SMALL, "HF_HOME with ~", "far/hub", HF_HOME="~/far")
    yield moved(SMALL, "XDG_CACHE_HOME", "far/huggingface/hub", XDG_CACHE_HOME="HOME/far")

    def loop(hub: Hub, name: str) -> Build:
        def build(place: Place) -> Asked:
            hub.put(place)
            (place.home / "loop").symlink_to("loop")
            return USUAL[hub.engine]._replace(env={name: str(place.home / "loop")})

        return build

    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        yield FASTER.state("variable", f"{name} that leads to itself", loop(FASTER, name))
    yield MLX.state("variable", "HF_HOME that leads to itself", loop(MLX, "HF_HOME"))

    def flat(kind: Flat, what: str, there: str, **env: str) -> State:
        def build(place: Place) -> Asked:
            kind.put(place, there)
            filled = {name: value.replace("HOME", str(place.home)) for name, value in env.items()}
            return USUAL[kind.engine]._replace(env=filled)

        return kind.state("variable", what, build)

    for kind in (OPENAI, MPS):
        yield flat(kind, "XDG_CACHE_HOME with a slash", "far/whisper", XDG_CACHE_HOME="HOME/far/")
        yield flat(kind, "XDG_CACHE_HOME with $HOME", "far/whisper", XDG_CACHE_HOME="$HOME/far")
        yield flat(
            kind, "XDG_CACHE_HOME with two dots", "far/whisper", XDG_CACHE_HOME="HOME/work/../far"
        )
    folder = "pywhispercpp/models"
    yield flat(GGML, "XDG_DATA_HOME with a slash", f"far/{folder}", XDG_DATA_HOME="HOME/far/")
    yield flat(GGML, "XDG_DATA_HOME with $HOME", f"far/{folder}", XDG_DATA_HOME="$HOME/far")
    yield flat(GGML, "XDG_DATA_HOME, the model at home", GGML.folder, XDG_DATA_HOME="HOME/far")


def _revisions() -> Iterator[State]:
    """Yield branches and commits that are asked for."""

    def revision(hub: Hub, ref: str | None, asked: str, *, cut: bool = False) -> Build:
        def build(place: Place) -> Asked:
            snapshot = hub.put(place, ref=ref)
            if cut:
                change(snapshot / hub.weights[0], CHANGES["cut in half"])
            usual = USUAL[hub.engine]
            question = (*usual.question, "--revision", asked)
            return usual._replace(question=question, options={"revision": asked})

        return build

    for hub in (FASTER, TRANSFORMERS, SMALL):
        for what, ref, asked in (
            ("a branch with a slash", "mine/new", "mine/new"),
            ("a branch with a space", "a b", "a b"),
            ("main by its name", "main", "main"),
            ("another branch, main there", "main", "dev"),
            ("a pull request", "refs/pr/7", "refs/pr/7"),
            ("a commit by its number, no branch", None, worlds.COMMIT),
            ("a commit by seven digits", "main", worlds.COMMIT[:7]),
            ("a branch in capitals", "main", "MAIN"),
            ("a branch from the root", "main", "/main"),
            ("a branch up", "main", "../refs/main"),
        ):
            yield hub.state("revision", f"{what} is asked for", revision(hub, ref, asked))
    yield FASTER.state(
        "revision", "a cut revision by its number", revision(FASTER, None, worlds.COMMIT, cut=True)
    )

    def branch_in_folder(place: Place) -> None:
        refs = FASTER.put(place).parents[1] / "refs"
        (refs / "main").unlink()
        place.put(refs / "main" / "new", worlds.COMMIT.encode())

    yield FASTER.state("ref", "a folder called main", branch_in_folder)

    def written(hub: Hub, text: bytes) -> Build:
        def build(place: Place) -> None:
            (hub.put(place).parents[1] / "refs" / "main").write_bytes(text)

        return build

    commit = worlds.COMMIT.encode()
    for what, text in {
        "with a NUL": commit + b"\0",
        "with a digit more": commit + b"0",
        "with a slash": commit + b"/",
        "of 64 digits": commit + b"0" * 24,
        "of two lines": commit + b"\n" + commit,
        "in UTF-16": commit.decode().encode("utf-16"),
        "of no UTF-8": b"\xff\xfe" + commit,
        "of a path up": b"../snapshots/" + commit,
        "of a dot": b".",
    }.items():
        for hub in (FASTER, TRANSFORMERS):
            yield hub.state("ref", f"a ref {what}", written(hub, text))

    def named_snapshot(place: Place) -> None:
        snapshot = FASTER.put(place)
        snapshot.rename(snapshot.with_name("main"))
        (snapshot.parents[1] / "refs" / "main").write_text("main")

    yield FASTER.state("ref", "a snapshot called main", named_snapshot)


def _closed() -> Iterator[State]:
    """Yield files and folders that may not be read, or not be written."""

    def closed(hub: Hub, what: str, mode: int) -> Build:
        def build(place: Place) -> Asked:
            snapshot = hub.put(place)
            folder = snapshot.parents[1]
            path = {
                "the weights": blob(snapshot / hub.weights[0]) if hub.weights else snapshot,
                "config.json": blob(snapshot / _CONFIG),
                "the snapshot": snapshot,
                "blobs/": folder / "blobs",
                "refs/": folder / "refs",
                "refs/main": folder / "refs" / "main",
                "trees/": folder / "trees",
                "the repository": folder,
                "the cache": place.hub,
            }[what]
            if path.is_file():
                data = path.read_bytes()  # the kept weights are hard links
                path.unlink()
                path.write_bytes(data)
            path.chmod(mode)
            return USUAL[hub.engine]._replace(through=_BOUND if os.geteuid() == 0 else ())

        return build

    for hub in FOUR:
        for what in ("the weights", "config.json", "the snapshot", "refs/main", "the cache"):
            yield hub.state("closed", f"{what} may not be read", closed(hub, what, 0))
    for what in ("blobs/", "refs/", "trees/", "the repository"):
        yield FASTER.state("closed", f"{what} may not be read", closed(FASTER, what, 0))
        yield MLX.state("closed", f"{what} may not be read", closed(MLX, what, 0))
    for hub in (*FOUR, SMALL):
        yield hub.state("closed", "the cache may not be written", closed(hub, "the cache", 0o555))
        yield hub.state(
            "closed", "the repository may not be written", closed(hub, "the repository", 0o555)
        )
    yield FASTER.state(
        "closed", "the snapshot may be entered only", closed(FASTER, "the snapshot", 0o111)
    )
    yield FASTER.state(
        "closed", "the snapshot may be listed only", closed(FASTER, "the snapshot", 0o444)
    )
    yield MLX.state(
        "closed", "the snapshot may be entered only", closed(MLX, "the snapshot", 0o111)
    )
    yield FASTER.state(
        "closed", "the cache may be entered only", closed(FASTER, "the cache", 0o111)
    )

    def flat(kind: Flat, what: str, mode: int) -> Build:
        def build(place: Place) -> Asked:
            path = kind.put(place)
            if what == "the file":
                data = path.read_bytes()
                path.unlink()
                path.write_bytes(data)
            (path if what == "the file" else path.parent).chmod(mode)
            return USUAL[kind.engine]._replace(through=_BOUND if os.geteuid() == 0 else ())

        return build

    for kind in (GGML, OPENAI, MPS):
        yield kind.state("closed", "the file may not be read", flat(kind, "the file", 0))
        yield kind.state("closed", "the folder may not be read", flat(kind, "the folder", 0))
        yield kind.state("closed", "the folder may not be written", flat(kind, "the folder", 0o555))
        yield kind.state(
            "closed", "the folder may be entered only", flat(kind, "the folder", 0o111)
        )


def _places() -> Iterator[State]:
    """Yield places that `cachedoctor.toml` names: what other programs' options lead to."""

    def located(kind: str, path: str, put: Callable[[Place, Path], object], engine: str) -> Build:
        def build(place: Place) -> None:
            put(place, place.cwd / path)
            text = f'[[locator]]\nkind = "{kind}"\npath = "{path}"\nengine = "{engine}"\n'
            place.put(place.cwd / "cachedoctor.toml", text.encode())

        return build

    def hub_at(hub: Hub, *, cut: bool = False) -> Callable[[Place, Path], object]:
        def put(place: Place, far: Path) -> None:
            snapshot = place.repository(hub.repository, hub.files(), hub=far)
            if cut:
                change(snapshot / hub.weights[0], CHANGES["cut in half"])

        return put

    def flat_at(flat: Flat, *, cut: bool = False) -> Callable[[Place, Path], object]:
        def put(place: Place, far: Path) -> None:
            path = place.put(far / flat.name, weights.require(flat.content))
            if cut:
                change(path, CHANGES["cut in half"])

        return put

    for hub in FOUR:
        put = hub_at(hub)
        yield hub.state(
            "place", "a cache_dir of a server's", located("hub-cache", "data", put, hub.engine)
        )
        put = hub_at(hub, cut=True)
        yield hub.state("place", "a cut cache_dir", located("hub-cache", "data", put, hub.engine))
    for kind, flat in (("ggml-folder", GGML), ("openai-cdn", OPENAI), ("openai-cdn", MPS)):
        put = flat_at(flat)
        yield flat.state("place", "a folder of a server's", located(kind, "data", put, flat.engine))
        put = flat_at(flat, cut=True)
        yield flat.state("place", "a cut file in it", located(kind, "data", put, flat.engine))

    def local(place: Place, far: Path) -> None:
        place.folder(far / "faster-whisper-tiny.en", FASTER.files())

    yield FASTER.state(
        "place", "a folder of folders", located("local-dir", "data", local, FASTER.engine)
    )

    def spelled(hub: Hub, how: Callable[[str], str], asked: Callable[[str], str] = str) -> Build:
        def build(place: Place) -> Asked:
            name = "whisper é"
            place.folder(place.home / how(name), hub.files())
            return _asked(hub, place.home / asked(name))

        return build

    nfc, nfd = partial(unicodedata.normalize, "NFC"), partial(unicodedata.normalize, "NFD")
    for hub in FOUR:
        yield hub.state("path", "in composed letters", spelled(hub, nfc, nfc))
        yield hub.state("path", "in letters put together otherwise", spelled(hub, nfd, nfc))
        yield hub.state("path", "in other cases", spelled(hub, nfc, lambda s: nfc(s).upper()))

    def word(hub: Hub, said: str) -> Build:
        def build(place: Place) -> Asked:
            hub.put(place)
            return _asked(hub, said)

        return build

    for hub, said in (
        (FASTER, "Systran/faster-whisper-tiny.en:main"),
        (FASTER, "hf://Systran/faster-whisper-tiny.en"),
        (FASTER, " tiny.en"),
        (FASTER, "Tiny.en"),
        (FASTER, "openai/whisper-tiny.en"),
        (FASTER, "whisper-tiny.en"),
        (FASTER, "SYSTRAN/faster-whisper-tiny.en"),
        (MLX, "MLX-Community/whisper-tiny"),
        (MLX, "mlx-community/whisper-tiny-mlx"),
        (PARAKEET, "mlx-community/parakeet-tdt-0.6b-v3/"),
        (TRANSFORMERS, "openai/whisper-tiny.en/"),
        (TRANSFORMERS, "https://huggingface.co/openai/whisper-tiny.en"),
        (SMALL, "openai/whisper-tiny.en/"),
    ):
        yield hub.state("name", f"asked for {said!r} of a stranger", word(hub, said))


def _kinds() -> Iterator[State]:
    """Yield folders where files belong, and files where folders do."""

    def folder(hub: Hub, name: str) -> Build:
        def build(place: Place) -> None:
            path = hub.put(place, trees=False) / name
            path.unlink()
            path.mkdir()

        return build

    for hub in (FASTER, TRANSFORMERS, SMALL):
        for name in (*hub.texts, *hub.others):
            if name != _CONFIG or hub is SMALL:
                yield hub.state("kind", f"a folder in place of {name}", folder(hub, name))

    def replaced(hub: Hub, what: str) -> Build:
        def build(place: Place) -> None:
            repository = hub.put(place).parents[1]
            shutil.rmtree(repository / what)
            (repository / what).write_bytes(b"x")

        return build

    for hub in (FASTER, MLX):
        for what in ("refs", "snapshots", "blobs", "trees"):
            yield hub.state("kind", f"a file in place of {what}/", replaced(hub, what))

    def repository(hub: Hub) -> Build:
        def build(place: Place) -> None:
            path = hub.put(place).parents[1]
            shutil.rmtree(path)
            path.write_bytes(b"x")

        return build

    for hub in FOUR:
        yield hub.state("kind", "a file in place of the repository", repository(hub))

    def beside(hub: Hub, name: str, content: bytes) -> Build:
        def build(place: Place) -> None:
            place.repository(hub.repository, {**hub.files(), name: content}, trees=False)

        return build

    for hub, name, content in (
        (TRANSFORMERS, "processor_config.json", b""),
        (TRANSFORMERS, "processor_config.json", b"{oops"),
        (TRANSFORMERS, "processor_config.json", b'{"processor_class": "WhisperProcessor"}'),
        (TRANSFORMERS, "adapter_config.json", b"{oops"),
        (TRANSFORMERS, "chat_template.json", b"{oops"),
        (TRANSFORMERS, "model.safetensors.index.json", b"{oops"),
        (TRANSFORMERS, "tf_model.h5", b""),
        (TRANSFORMERS, "quantization_config.json", b"{oops"),
        (SMALL, "processor_config.json", b""),
        (SMALL, "processor_config.json", b"{oops"),
        (SMALL, "processor_config.json", b'{"processor_class": "WhisperProcessor"}'),
        (SMALL, "chat_template.json", b"{oops"),
        (SMALL, "chat_template.jinja", b"{{ oops"),
        (SMALL, "adapter_config.json", b"{oops"),
        (FASTER, "preprocessor_config.json", b""),
        (FASTER, "vocabulary.json", b"[]"),
        (FASTER, "vocabulary.json", b"{}"),
        (FASTER, "shared_vocabulary.json", b"{oops"),
        (FASTER, "added_tokens.json", b"{oops"),
        (MLX, "model.safetensors.index.json", b"{oops"),
        (MLX, "weights.npz", b""),
        (MLX, "tokenizer.json", b"{oops"),
        (PARAKEET, "weights.npz", b""),
        (PARAKEET, "tokenizer.json", b"{oops"),
        (PARAKEET, "model.safetensors.index.json", b"{oops"),
    ):
        what = "empty" if not content else content.decode()
        yield hub.state("kind", f"{name} {what} beside", beside(hub, name, content))


def _ggml() -> Iterator[State]:
    """Yield GGML files of odd names, and with other numbers at their front."""

    def named(name: str, folder: str = "mine", asked: str = "") -> Build:
        def build(place: Place) -> Asked:
            path = GGML.put(place, folder, name)
            said = asked.replace("HOME", str(place.home)) or str(path)
            return Asked(("--model", said), said)

        return build

    for name in (
        "model.gguf",
        "ggml-model.bin",
        "whisper-tiny.en.bin",
        "for-tests-ggml-tiny.en.bin",
        "ggml-tiny.en.bin.bak",
        "ggml-large-v3.bin",
        "ggml-base.en-q5_1.bin",
        "ggml-tiny.en-encoder.bin",
        "GGML-TINY.EN.BIN",
        "tiny.en.pt",
        "model.safetensors",
        "ggml.bin/ggml-tiny.en.bin",
    ):
        yield GGML.state("path", f"called {name}", named(name))
    yield GGML.state("path", "with a slash after it", named("m.bin", asked="HOME/mine/m.bin/"))
    yield GGML.state("name", "ggml-tiny.en.bin asked for", named(GGML.name, GGML.folder, GGML.name))
    yield GGML.state("name", "in a folder of its name beside",
                     named("tiny.en/ggml-tiny.en.bin", "work", "tiny.en"))  # fmt: skip

    def front(index: int, value: int) -> Change:
        """Put another number among the eleven behind the magic."""
        return lambda data: data[: 4 + 4 * index] + struct.pack("<i", value) + data[8 + 4 * index :]

    for what, how in {
        "of a larger vocabulary": front(0, 51865),
        "of a smaller vocabulary": front(0, 51863),
        "of another sound context": front(1, 750),
        "of another size": front(2, 512),
        "of other heads": front(3, 8),
        "of fewer layers": front(4, 3),
        "of more layers": front(4, 6),
        "of another text context": front(5, 224),
        "of another text size": front(6, 512),
        "of fewer text layers": front(8, 2),
        "of more text layers": front(8, 6),
        "of 128 bins": front(9, 128),
        "of 32 bits": front(10, 0),
        "of 4 bits": front(10, 2),
        "of an unknown type": front(10, 99),
        "of the second version of quantisation": front(10, 2001),
        "of another magic": lambda data: b"ggml" + data[4:],
        "called GGUF": lambda data: b"GGUF" + data[4:],
        "without its last tensor": lambda data: data[: _last_tensor(data)],
        "cut at its vocabulary": lambda data: data[:100_000],
        "twice": lambda data: data + data,
    }.items():

        def build(place: Place, how: Change = how) -> None:
            change(GGML.put(place), how)

        yield GGML.state("front", f"a file {what}", build)

    def quantised(place: Place) -> Asked:
        path = GGML._replace(content=weights.ggml_tiny_en_q8_0).put(place, "mine", "m.bin")
        change(path, front(10, 1))
        return Asked(("--model", str(path)), str(path))

    yield GGML.state("front", "8 bits that are said to be 16", quantised)


def _last_tensor(data: bytes) -> int:
    """Return where the last tensor begins: a short head, then its name."""
    name = b"decoder.ln.bias"
    at = data.rindex(name)
    return at - 12 - 4  # three numbers and one dimension


def _torch() -> Iterator[State]:
    """Yield OpenAI's files, changed and otherwise named."""

    def at(path: object) -> Asked:
        return Asked(("--model", str(path)), str(path))

    def script(name: str, text: str, source: Callable[[], Path] = weights.openai_tiny_en) -> Path:
        head = "import sys, torch\nsource, out = sys.argv[1:]\ntold = torch.load(source)\n"
        from tests.support import environments

        where = str(weights.require(source))
        return making._made(f"{name}.pt", environments.torch(), head + text, where)

    for what, name, text in (
        ("in single precision", "single", "told['model_state_dict'] = {k: v.float() for k, v in "
         "told['model_state_dict'].items()}\ntorch.save(told, out)\n"),
        ("without dims", "nodims", "del told['dims']\ntorch.save(told, out)\n"),
        ("without weights", "noweights", "del told['model_state_dict']\ntorch.save(told, out)\n"),
        ("of weights alone", "alone", "torch.save(told['model_state_dict'], out)\n"),
        ("with a key more", "more", "told['mine'] = 1\ntorch.save(told, out)\n"),
        ("with dims of words", "words", "told['dims']['n_mels'] = '80'\ntorch.save(told, out)\n"),
        ("with a dimension more", "dim", "told['dims']['mine'] = 1\ntorch.save(told, out)\n"),
        ("with a dimension less", "less", "del told['dims']['n_mels']\ntorch.save(told, out)\n"),
        ("of 128 bins", "bins", "told['dims']['n_mels'] = 128\ntorch.save(told, out)\n"),
        ("of a larger size", "size", "told['dims']['n_text_state'] = 512\ntorch.save(told, out)\n"),
        ("of a list", "list", "torch.save([1, 2], out)\n"),
        ("with one tensor less", "tensor",
         "told['model_state_dict'].popitem()\ntorch.save(told, out)\n"),
        ("in a later protocol", "protocol", "torch.save(told, out, pickle_protocol=4)\n"),
    ):  # fmt: skip

        def build(place: Place, name: str = name, text: str = text) -> Asked:
            return at(place.put(place.home / "mine" / "m.pt", script(name, text)))

        yield OPENAI.state("torch", f"a file {what}", build)

    def word(said: str, name: str = "", folder: str = "") -> Build:
        def build(place: Place) -> Asked:
            OPENAI.put(place, folder, name)
            return at(said.replace("HOME", str(place.home)))

        return build

    for said, name, folder in (
        ("large", "large-v3.pt", ""),
        ("large", "large.pt", ""),
        ("~/mine/m.pt", "m.pt", "mine"),
        ("HOME/mine", "m.pt", "mine"),
        ("tiny.en", "tiny.en.pt", "work"),
        ("./tiny.en.pt", "tiny.en.pt", "work"),
        ("tiny.en.pt", "tiny.en.pt", "work"),
        ("HOME/mine/tiny.en.pt/", "tiny.en.pt", "mine"),
        ("HOME/mine/tiny.en", "tiny.en", "mine"),
        ("HOME/mine/large-v3.pt", "large-v3.pt", "mine"),
    ):
        yield OPENAI.state("name", f"asked for {said}, {name} there", word(said, name, folder))
    yield MPS.state("name", "asked for a path", word("HOME/mine/m.pt", "m.pt", "mine"))
    yield MPS.state("name", "asked for large", word("large", "large-v3.pt"))


def _lightning() -> Iterator[State]:
    """Yield lightning-whisper-mlx's folders and words."""
    engine = "lightning-whisper-mlx"

    def put(place: Place, name: str = "tiny") -> Path:
        return place.folder(place.cwd / "mlx_models" / name, places.mlx("weights.npz"))

    def state(cause: str, name: str, build: Build) -> State:
        return State(engine, cause, name, build)

    for what, how in TEXTS.items():
        if what not in ("with a huge number", "with a long number"):

            def text(place: Place, how: Change = how) -> None:
                change(put(place) / _CONFIG, how)

            yield state("text", f"config.json {what}", text)
    for what, edit in (
        ("of base", saying(**_BASE_OF_MLX)),
        ("of tiny", saying(n_vocab=51865)),
        ("without heads", lacking("n_text_head")),
        ("with quantization of null", saying(quantization=None)),
        ("with 8 bits said", saying(quantization={"group_size": 64, "bits": 8})),
    ):

        def edited(place: Place, edit: Edit = edit) -> None:
            def again(data: bytes) -> bytes:
                told = json.loads(data)
                edit(told)
                return json.dumps(told).encode()

            change(put(place) / _CONFIG, again)

        yield state("relative", f"config.json {what}", edited)

    def kind(name: str) -> Build:
        def build(place: Place) -> None:
            path = put(place) / name
            path.unlink()
            path.mkdir()

        return build

    yield state("kind", "a folder in place of weights.npz", kind("weights.npz"))
    yield state("kind", "a folder in place of config.json", kind(_CONFIG))

    def asked(said: str, folder: str, **options: object) -> Build:
        def build(place: Place) -> Asked:
            put(place, folder)
            return Asked(("--model", said), said, options)

        return build

    yield state(
        "name", "distil-small.en there and asked for", asked("distil-small.en", "distil-small.en")
    )
    yield state(
        "name", "large-v3 there and asked for, of tiny's bytes", asked("large-v3", "large-v3")
    )
    yield state("name", "tiny.en, which it does not know", asked("tiny.en", "tiny.en"))

    def closed(place: Place) -> Asked:
        path = put(place) / "weights.npz"
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
        path.chmod(0)
        return USUAL[engine]._replace(through=_BOUND if os.geteuid() == 0 else ())

    yield state("closed", "weights.npz may not be read", closed)

    def links(place: Place) -> None:
        folder = put(place)
        real = place.home / "blob"
        (folder / "weights.npz").rename(real)
        (folder / "weights.npz").symlink_to(real)

    yield state("linked elsewhere", "weights.npz is a link", links)

    def dangling(place: Place) -> None:
        links(place)
        (place.home / "blob").unlink()

    yield state("dangling", "weights.npz leads nowhere", dangling)
