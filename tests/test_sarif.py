"""SARIF 2.1.0: what the standard demands of the parts that we write, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest

from cachedoctor import rules
from tests.support import worlds
from tests.support.command import cachedoctor

_TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}


def _closed(required: list[str], **properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


# Source: OASIS, SARIF 2.1.0, §3.13 sarifLog, §3.14 run, §3.19 toolComponent, §3.27 result,
# §3.29 physicalLocation, §3.49 reportingDescriptor.
_PLACE = _closed(
    ["artifactLocation"],
    artifactLocation=_closed(["uri"], uri={"type": "string", "format": "uri-reference"}),
)
_RULE = _closed(
    ["id"],
    id={"type": "string"},
    name={"type": "string", "pattern": r"^\S+$"},
    shortDescription=_TEXT,
    help=_TEXT,
    helpUri={"type": "string", "format": "uri"},
    defaultConfiguration=_closed([], level=_LEVEL),
)
_RESULT = _closed(
    ["message"],
    ruleId={"type": "string"},
    ruleIndex={"type": "integer", "minimum": 0},
    level=_LEVEL,
    message=_TEXT,
    partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}},
    locations={"type": "array", "items": _closed([], physicalLocation=_PLACE)},
)
_DRIVER = _closed(
    ["name"],
    name={"type": "string"},
    semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
    informationUri={"type": "string", "format": "uri"},
    rules={"type": "array", "uniqueItems": True, "items": _RULE},
)
_RUN = _closed(
    ["tool"],
    tool=_closed(["driver"], driver=_DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": _RESULT},
)
_LOG = _closed(
    ["version", "runs"],
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"const": "2.1.0"},
    runs={"type": "array", "items": _RUN},
)


def log(*arguments: str) -> dict[str, Any]:
    """Run a command and return what it says, held against the standard."""
    found = cachedoctor(*arguments, "--format", "sarif").data
    jsonschema.validate(found, _LOG)
    (run,) = found["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
    return dict(run)


@pytest.fixture
def hurt(home: Path) -> Path:
    """Cut a model's weights and leave a partial beside them."""
    model = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.cut(worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin"), 100)
    (model / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    return model


def test_a_result_for_each_finding_errors_first(hurt: Path) -> None:
    """With rule, level and the file's address; the mark is the same from run to run."""
    for command in ("scan", "verify"):
        run = log(command)
        assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
            ("CD201", "error"),
            ("CD502", "note"),
        ]
        uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert urlsplit(uri).scheme == "file"
        assert Path(unquote(urlsplit(uri).path)).is_file()
        again = log(command)["results"]
        marks = [r["partialFingerprints"] for r in run["results"]]
        assert marks == [r["partialFingerprints"] for r in again]
        titles = {r["id"]: r["shortDescription"]["text"] for r in run["tool"]["driver"]["rules"]}
        assert titles["CD201"] == rules.find("CD201").title()


def test_what_lies_in_the_checkout_is_named_from_there(hurt: Path, tmp_path: Path) -> None:
    """As code hosts ask it; blanks and signs are escaped."""
    project = tmp_path / "cwd" / "models" / "a #1"
    model = worlds.repository(project, worlds.TINY, worlds.whisper_files())
    worlds.cut(worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin"), 60)
    (result, *_) = log("scan", str(project))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.startswith("models/a%20%231/")


def test_a_model_that_is_not_ready_is_a_result(hurt: Path) -> None:
    """Broken by its code, absent as CD101."""
    (broken,) = log("preflight", "faster-whisper", "--model", "tiny.en")["results"]
    assert broken["ruleId"] == "CD201"
    (absent,) = log("preflight", "faster-whisper", "--size", "small")["results"]
    assert absent["ruleId"] == "CD101"


def test_where_nothing_fails_errors_are_warnings(hurt: Path) -> None:
    """With `--fail-on never`, in each form; the exit code is 0."""
    run = log("scan", "--fail-on", "never")
    assert [r["level"] for r in run["results"]] == ["warning", "note"]
    for form in ("github", "junit"):
        ended = cachedoctor("scan", "--fail-on", "never", "--format", form)
        assert ended.code == 0
        assert "::error" not in ended.output
        assert "<failure" not in ended.output
        assert "CD201" in ended.output
    assert cachedoctor("scan", "--format", "github").code == 1
