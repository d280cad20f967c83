"""From an engine's error text to the cure; the texts are what the engines said of damaged files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor import diagnosis, engines, rules
from cachedoctor.diagnosis import wording
from tests.support import worlds
from tests.support.command import cachedoctor

# What engines were seen to say, and what is to be made of it.
SAID = {
    "RuntimeError: Unable to open file 'model.bin' in model '/x/snapshots/'": "CD402",
    "RuntimeError: File model.bin is incomplete: failed to read a buffer of size 4 at position 0": (
        "CD201"
    ),
    "Unsupported model binary version. This executable supports models with binary version v6 or "
    "below, but the model has binary version v1836345404": "CD202",
    "ValueError: [load_npz] Input must be a zip file or a file-like object": "CD201",
    "RuntimeError: Model has been downloaded but the SHA256 checksum does not not match.": "CD301",
    "whisper_model_load: invalid model data (bad magic)": "CD202",
    "whisper_model_load: ERROR not all tensors loaded from model file - expected 167, got 12": (
        "CD201"
    ),
    "safetensors_rust.SafetensorError: Error while deserializing header: header too small": "CD201",
    # of Apple's engines: from reports and from their sources, which `symptoms.toml` names
    "/a/MelSpectrogram.mlmodelc/coremldata.bin is not a valid .mlmodelc file because the first "
    "word (1329865020) is not recognizable.": "CD202",
    "MelSpectrogram.mlmodelc/coremldata.bin is not a valid .mlmodelc file because the first word "
    "(1936876918) is not recognizable.": "CD202",
    "/a/Encoder.mlmodelc/coremldata.bin is not a valid .mlmodelc file because the first word (7) "
    "is not recognizable.": "CD202",
    "Error: Unable to load model: file:///Users/a/Models/openai_whisper-large-v3/"
    "MelSpectrogram.mlmodelc/. Compile the model with Xcode or `MLModel.compileModel(at:)`.": (
        "CD102"
    ),
    'NSLocalizedDescription = "at /T/m.mlmodelc/model.mil:11:258: Error parsing MIL model: at '
    "/T/m.mlmodelc/model.mil:11:258: Could not open /T/m.mlmodelc/weights/weight.bin": "CD102",
    "Failed to build the model execution plan using a model architecture file '/a/model.mil' with "
    "error code: -14.": "CD207",
    "Model file not found at /Users/a/openai_whisper-tiny/TextDecoder.mlmodelc": "CD101",
    'Multiple models found matching "*openai*large/*" in argmaxinc/whisperkit-coreml': "CD101",
    "Error: Tokenizer is unavailable": "CD104",
    "Offline mode error: Repository not available locally": "CD101",
    "Offline mode error: Metadata not available for weight.bin": "CD419",
    "File integrity check failed: Hash mismatch for weight.bin": "CD301",
    "Invalid metadata: Could not remove corrupted metadata file: permission": "CD412",
    "ASR model 'parakeet_vocab.json' not found at: /a/parakeet-tdt-0.6b-v3": "CD101",
    "[ERROR] Missing coremldata.bin in Encoder.mlmodelc": "CD102",
    "Deleting cache and re-downloading\u2026": "CD102",
    "FluidAudio offline mode: required models missing for parakeet-tdt-0.6b-v3: "
    "JointDecisionv3.mlmodelc": "CD106",
    "Load still failing and 2 parakeet-tdt-0.6b-v3 file(s) are smaller than their published "
    "HuggingFace size": "CD201",
    "Load still failing but all 12 required parakeet-tdt-0.6b-v3 files match their published "
    "HuggingFace sizes": "CD207",
    "Downloaded artifact for Encoder.mlmodelc/model.mil is invalid (HTML); refusing to cache it.": (
        "CD202"
    ),
}
# What looks alike and means something else.
NEAR = (
    "Unable to load model: the file is not there",
    "Model file written to /Users/a/ggml-tiny.bin",
    "No models found",
    "Hash mismatch for the password",
    "ASR model loaded",
    "Missing coremldata in the list",
    "Deleting cache entries older than a day",
    "the first word (1329865020) of the speech",
    "Offline mode is on",
)


def test_every_symptom_is_of_known_engines_and_codes() -> None:
    """And each has a source."""
    codes = {rule.code for rule in rules.every()} | {"CD110"}
    for symptom in diagnosis.symptoms():
        assert set(symptom.engines) <= set(engines.names()), symptom
        assert set(symptom.codes) <= codes, symptom
        assert symptom.source, symptom
    assert len(diagnosis.symptoms()) > 25


@pytest.mark.parametrize("text", SAID)
def test_what_engines_say_is_recognised(text: str) -> None:
    """Among other lines, with the code to look for."""
    log = ["Traceback (most recent call last):", '  File "app.py", line 3', text, ""]
    (one,) = diagnosis.recognise(line.encode() for line in log)
    assert one.line == 3
    assert SAID[text] in one.codes


def test_what_every_match_holds_is_told_from_the_pattern() -> None:
    """A text is passed over unless it has this in it, so it may never be too much."""
    for pattern, word in {
        "plain text": "plain text",
        r"a\.b \((?P<n>\d+)\) of it": ") of it",
        "colou?r of it": "r of it",
        "ab*cdef": "cdef",
        "(?:one|two) models": " models",
        "x{2,3}yz": "yz",
        "[abc]+ said": " said",
        ".*": "",
    }.items():
        assert diagnosis.literals(pattern) == [word], pattern
    assert diagnosis.literals("either (this|that)|or [a|b]") == ["either ", "or "]
    for text in SAID:
        (one,) = diagnosis.recognise([text.encode()])
        assert any(word in text for word in diagnosis.literals(one.symptom.pattern))
    for symptom in diagnosis.symptoms():
        literals = diagnosis.literals(symptom.pattern)
        assert min(len(word.encode()) for word in literals) >= 8, symptom.pattern


@pytest.mark.parametrize("text", NEAR)
def test_what_only_looks_alike_is_not_recognised(text: str) -> None:
    """A pattern needs more than a word that engines share with the world."""
    assert diagnosis.recognise([text.encode()]) == ()


@pytest.mark.parametrize("symptom", diagnosis.symptoms(), ids=lambda one: one.said[:60])
def test_every_symptom_is_recognised_in_the_words_of_its_source(
    symptom: diagnosis.Symptom,
) -> None:
    """As that symptom and no other, with at most three codes."""
    (one,) = diagnosis.recognise(line.encode() for line in symptom.said.splitlines())
    assert one.symptom is symptom
    assert 1 <= len(one.codes) <= 3
    assert symptom.cause in one.cause


# Words that are in no table: what people pasted, by families, and one of the codes to be named.
PASTED = {
    "Model file not found at /Users/a/ggml-tiny.bin": "CD101",
    'sona load_model failed: {"error":{"message":"failed to load model: whisper: failed to load '
    'model from /Users/a/Library/Application Support/b/ggml-medium.bin"}}': "CD201",
    'Error: Could not locate file: "https://h.co/X/whisper-tiny/resolve/main/onnx/model.onnx".': (
        "CD101"
    ),
    "requests.exceptions.HTTPError: 404 Client Error: Not Found for url: https://h.co/a/b": "CD101",
    "Failed to initialize model a/whisper-base: Error: Failed to load model because protobuf "
    "parsing failed.": "CD202",
    "Model 'base' is not downloaded": "CD101",
    "Whisper model isn't loaded! Init Whisper model first!": "CD101",
    "KeyError: 'dims'": "CD203",
    "OSError: Unable to load vocabulary from file. Please check that the provided vocabulary is "
    "accessible and not corrupted.": "CD104",
    "httpx.ConnectError: [Errno 8] nodename nor servname provided, or not known": "CD101",
    'Error Domain=NSCocoaErrorDomain Code=260 "The file “config.json” couldn’t be '
    'opened because there is no such file."': "CD101",
    "The file “weight.bin” couldn’t be opened because you don’t have "
    "permission to view it.": "CD108",
    'Error Domain=NSPOSIXErrorDomain Code=28 "No space left on device"': "CD603",
    "RuntimeError: PytorchStreamReader failed reading file data/12: file read failed": "CD201",
    "_pickle.UnpicklingError: invalid load key, '\\x00'.": "CD206",
    "gguf_init_from_file_impl: invalid magic characters: '<!do', expected 'GGUF'": "CD202",
    "whisper_init_state: failed to load Core ML model from '/m/ggml-large-v3-encoder.mlmodelc'": (
        "CD102"
    ),
    "Unsupported model binary version. This executable supports models with binary version v6 or "
    "below, but the model has binary version v67324752.": "CD202",
    "Unsupported model binary version. This executable supports models with binary version v6 or "
    "below, but the model has binary version v7.": "CD203",
    "/x/coremldata.bin is not a valid .mlmodelc file because the first word (0) is not "
    "recognizable.": "CD206",
    'MLModelAsset: load failed with error Error Domain=com.apple.CoreML Code=3 "Failed to build '
    "the model execution plan using a model architecture file '/x/model.mil'\"": "CD207",
    "safetensors_rust.SafetensorError: Error while deserializing header: InvalidHeaderLength": (
        "CD201"
    ),
    "OSError: [Errno 122] Disk quota exceeded": "CD603",
    "OSError: [Errno 116] Stale file handle: '/nfs/hub'": "CD110",
    "Exception: expected `,` or `}` at line 5 column 3": "CD203",
    "FileNotFoundError: [Errno 2] No such file or directory: '/r/hub/models--a--b/refs/main'": (
        "CD403"
    ),
    "RuntimeError: Unable to open file 'model.bin' in model '/x/snapshots/'": "CD402",
    "OSError: Consistency check failed: file should be of size 3087284237 but has size 3087371615 "
    "(model.bin)": "CD204",
    "UnicodeDecodeError: 'utf-8' codec can't decode byte 0x80 in position 64: invalid start byte": (
        "CD203"
    ),
    "Timeout: The file lock '/r/hub/.locks/a.lock' could not be acquired.": "CD415",
    "thread 'main' panicked at 'failed to load model: WhisperError::InitError'": "CD201",
}


@pytest.mark.parametrize("text", PASTED)
def test_families_are_recognised_in_other_words(text: str) -> None:
    """With at most three codes."""
    codes = [code for one in diagnosis.recognise([text.encode()]) for code in one.codes]
    assert PASTED[text] in codes
    assert len(codes) <= 3


def pasted() -> list[tuple[str, frozenset[str]]]:
    """Return what people pasted, with the codes of which one is to be named, or none at all."""
    rows = (Path(__file__).parent / "support" / "pasted.tsv").read_text().splitlines()
    return [
        (text.replace("{{n}}", "\n"), frozenset(codes.split()) - {"NONE"})
        for text, codes, *_ in (row.split("\t") for row in rows)
    ]


def named(text: str) -> list[str]:
    """Return the codes that an answer names."""
    found = diagnosis.recognise(line.encode() for line in text.split("\n"))
    return list(dict.fromkeys(code for one in found for code in one.codes))


def test_what_people_paste_is_known_or_known_to_be_no_matter_of_caches() -> None:
    """With one of the right codes, of three at most; where none is right, with none."""
    rows = pasted()
    assert sum(not codes for _, codes in rows) > 90
    wrong = [
        (text, got)
        for text, codes in rows
        if len(got := named(text)) > 3 or (not codes.intersection(got) if codes else bool(got))
    ]
    assert wrong == []


# One text, as it is quoted, wrapped and saved.
CUT = (
    "RuntimeError: Unable to open file 'model.bin' in model '/r/hub/models--Systran--faster-"
    "whisper-medium/snapshots/08e178d48790749d25932bbc082711ddcfdfbc4f'"
)
WRITTEN = {
    "JSON": '{"error": "' + CUT.replace("'", "\\u0027") + '"}',
    "JSON twice": '{"a": "{\\"b\\": \\"' + CUT.replace("/", "\\\\/") + '\\"}"}',
    "HTML": "<p>" + CUT.replace("'", "&#39;") + "</p>",
    "HTML by name": CUT.replace("'", "&#x27;"),
    "typographic": CUT.replace(" '", " \u2018").replace("'", "\u2019"),
    "coloured": "\x1b[31m"
    + CUT.replace("'model.bin'", "\x1b[1m'model.bin'\x1b[0m\x1b[31m")
    + "\x1b[0m",
    "wrapped at spaces": CUT.replace(" file ", "\nfile ").replace(" in model ", "\nin model "),
    "wrapped in a mail": "> " + CUT.replace(" in model ", "\n> in model "),
    "wrapped in a box": "\u2502 " + CUT.replace(" file ", " \u2502\n\u2502 file ") + " \u2502",
    "wrapped by the width": CUT[:30] + "\n" + CUT[30:70] + "\n" + CUT[70:],
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_text_is_known_however_it_is_written(text: str) -> None:
    """Quoted in JSON or HTML, by a typographer, in colours, and wrapped.

    The first part of a wrapped text may do, without the path that says which file it is.
    """
    assert named(text)[: len(named(CUT))] == named(CUT)
    assert named(CUT)[0] == "CD101"


def test_what_is_wrapped_is_no_alarm_where_it_is_about_something_else() -> None:
    """Words of two lines that have nothing to do with each other, and a wrapped text of another."""
    assert named("loading model from 'a'\nthe recording was not found") == []
    assert named("RuntimeError: CUDA failed\nwith error out of memory") == []
    assert named("FileNotFoundError: [Errno 2] No such file\nor directory: 'ffmpeg'") == []


def test_a_log_that_a_shell_of_windows_saved_is_read() -> None:
    """UTF-16, in blocks that part a character; what only begins like it is left as it is."""
    for encoding in ("utf-16-le", "utf-16-be"):
        mark = "\ufeff".encode(encoding)
        saved = mark + f"loading\r\n{CUT}\r\n".encode(encoding)
        blocks = [saved[:51], saved[51:99], saved[99:]]
        found = diagnosis.recognise(diagnosis.pieces(blocks))
        assert [code for one in found for code in one.codes] == named(CUT), encoding
    assert b"".join(diagnosis.pieces([b"\xff\xfe\1\2\3\4"])) == b"\xff\xfe\1\2\3\4"


@pytest.mark.parametrize("text", [*SAID][::6])
def test_a_long_log_is_known_by_the_same_words_as_a_short_one(text: str) -> None:
    """The words are looked for all at once, where they are many lines."""
    noise = [b"2026-01-01 00:00:00 INFO step %d of nothing at all" % step for step in range(2000)]
    (one,) = diagnosis.recognise([*noise, text.encode(), *noise])
    (short,) = diagnosis.recognise([text.encode()])
    assert (one.line, one.codes) == (len(noise) + 1, short.codes)


@given(
    words=st.lists(st.text("ab(.", min_size=1, max_size=4).map(str.encode), min_size=1, max_size=8),
    text=st.text("ab(.", max_size=40).map(str.encode),
)
def test_all_words_of_a_text_are_found_at_once(words: list[bytes], text: bytes) -> None:
    """Wherever one begins, the longest; one that is part of another is its beginning, too."""
    met = {(at.start(), at[1]) for at in wording.finder(words).finditer(text)}
    for start in range(len(text)):
        here = [word for word in words if text.startswith(word, start)]
        longest = {(start, max(here, key=len))} if here else set()
        assert {one for one in met if one[0] == start} == longest


@pytest.mark.parametrize("other", diagnosis.elsewhere(), ids=lambda one: one.said[:60])
def test_what_is_no_matter_of_caches_is_told_in_the_words_of_its_source(
    other: diagnosis.Symptom,
) -> None:
    """Without codes; what healthy programs say is not told at all."""
    assert other.source
    assert min(map(len, diagnosis.literals(other.pattern))) >= 4, other.pattern
    found = diagnosis.recognise([other.said.encode()])
    assert [one.symptom for one in found] == ([] if other.harmless else [other])
    assert named(other.said) == []


def test_what_is_no_matter_of_caches_gives_way_to_a_cause_and_not_to_the_vague() -> None:
    """A cut model among complaints of a graphics card; a load that failed because of it."""
    card = b"RuntimeError: CUDA failed with error out of memory"
    (one,) = diagnosis.recognise([card, b"whisper_model_load: invalid model data (bad magic)"])
    assert "CD202" in one.codes
    (one,) = diagnosis.recognise([card, b"error: failed to load model"])
    assert (one.line, one.codes) == (1, ())
    assert "graphics card" in one.cause


def test_an_answer_names_three_codes_at_most() -> None:
    """However much a log holds: the likeliest of each line."""
    log = [text.encode() for text in SAID]
    found = diagnosis.recognise(log)
    assert len(found) > 10
    assert all(one.codes for one in found)
    few = diagnosis.recognise(log[3:5])
    assert {code for one in few for code in one.codes} == {"CD101", "CD201", "CD301"}


def test_a_text_about_something_else_says_what(home: Path, tmp_path: Path) -> None:
    """Exit code 1, as nothing of it is known of a cache."""
    log = tmp_path / "crash.log"
    log.write_text("FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'\n")
    ended = cachedoctor("diagnose", str(log))
    assert ended.code == 1
    assert "this text is not about a cache" in ended.output
    assert "ffmpeg, or another program" in ended.output
    assert cachedoctor("diagnose", str(log), "--json").data["recognised"] == []


def test_what_a_text_says_besides_is_read() -> None:
    """A number that is text, a length, whose words they are; the vague is left out."""
    (one,) = diagnosis.recognise(
        [
            b"the model has binary version v1836345404 Unsupported model "
            b"binary version: the model has binary version v1836345404"
        ]
    )
    assert "a web page" in one.cause
    log = b"""Traceback (most recent call last):
  File "/v/site-packages/faster_whisper/transcribe.py", line 3, in __init__
OSError: [Errno 28] No space left on device
error: failed to initialize whisper context
""".splitlines()
    (one,) = diagnosis.recognise(log)
    assert (one.engines, one.codes) == (("faster-whisper",), ("CD603",))


def test_a_healthy_cache_that_the_engine_would_not_find_is_not_called_right(home: Path) -> None:
    """What `preflight` knows is said."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    log = home / "crash.log"
    log.write_text("RuntimeError: Cannot load the vocabulary from the model directory\n")
    (home.parent / "cwd" / "tiny.en").mkdir()
    said = cachedoctor("diagnose", str(log)).output
    assert "are right" not in said
    assert "CD420" in said


def test_the_cache_is_looked_at(home: Path, tmp_path: Path) -> None:
    """A truncated model, the engine's own words, and the command that cures it."""
    path = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    log = tmp_path / "crash.log"
    log.write_text("File model.bin is incomplete: failed to read a value of size 4 at position 9\n")
    whole = cachedoctor("diagnose", str(log))
    assert whole.code == 0
    assert "cachedoctor verify faster-whisper" in whole.output
    worlds.cut(worlds.blob_of(path / "snapshots" / worlds.COMMIT / "model.bin"), 100)
    found = cachedoctor("diagnose", str(log))
    assert (found.code, "CD201" in found.output) == (0, True)
    assert "cure: `cachedoctor fix faster-whisper`" in found.output
    data = cachedoctor("diagnose", str(log), "--json").data
    assert data["recognised"][0]["engines"] == ["faster-whisper"]
    assert [finding["code"] for finding in data["findings"]] == ["CD201"]


def test_an_engine_without_models_is_not_called_right(home: Path, tmp_path: Path) -> None:
    """Nothing was looked at, so nothing is right."""
    log = tmp_path / "crash.log"
    log.write_text("whisper_model_load: invalid model data (bad magic)\n")
    ended = cachedoctor("diagnose", str(log))
    assert ended.code == 0
    assert "no model of whisper.cpp" in ended.output
    assert "are right" not in ended.output
    assert "look for CD201, CD202" in ended.output


def test_a_text_that_is_not_known_says_so(tmp_path: Path) -> None:
    """Exit code 1; a file that is not there is another matter."""
    log = tmp_path / "crash.log"
    log.write_bytes(b"the printer is on fire\x1b[2J\xff\n")
    unknown = cachedoctor("diagnose", str(log))
    assert (unknown.code, "nothing in this text is recognised" in unknown.output) == (1, True)
    assert cachedoctor("diagnose", str(tmp_path / "none")).code == 3


def test_a_message_is_given_as_words(home: Path) -> None:
    """What names no file is the text itself; one word that is no file is a mistake."""
    ended = cachedoctor("diagnose", "whisper_model_load: invalid model data (bad magic)")
    assert (ended.code, "look for CD201, CD202" in ended.output) == (0, True)
    ended = cachedoctor("diagnose", "crash.log")
    assert (ended.code, "press Ctrl-D" in ended.errors) == (3, True)


def test_a_long_log_on_standard_input(home: Path) -> None:
    """Without line ends and with binary in it; a text across two pieces is seen."""
    program = (
        "import sys\n"
        "for _ in range(8): sys.stdout.buffer.write(bytes(range(1, 10)) * 100_000)\n"
        "sys.stdout.buffer.write(b'invalid model data (bad magic)')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as log:
        done = subprocess.run(
            [sys.executable, "-m", "cachedoctor", "diagnose", "--json"],
            stdin=log.stdout,
            capture_output=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr


@given(blocks=st.lists(st.binary(max_size=200), max_size=6))
def test_any_bytes_are_read(blocks: list[bytes]) -> None:
    """Noise is no symptom, and nothing is lost between two blocks."""
    lines = list(diagnosis.pieces(blocks))
    assert b"".join(lines) == b"".join(blocks).replace(b"\n", b"")
    assert diagnosis.recognise(lines) == ()
