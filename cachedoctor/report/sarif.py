"""Problems as SARIF 2.1.0, which code hosts show beside the lines of a change; pure.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", §3.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from cachedoctor import rules
from cachedoctor.findings import Severity
from cachedoctor.report import pages
from cachedoctor.text import printable
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cachedoctor.report.cases import Problem

Json = dict[str, object]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_NO_CODE = "not-ready"  # for a model that is absent or loads by its path only


def render(problems: Sequence[tuple[Problem, str]], below: Callable[[str], str]) -> str:
    """Return one run of the tool, with the rules that applied and a result for each problem.

    `below` names a file relative to the build's checkout; empty for one elsewhere.
    """
    met = sorted({problem.code or _NO_CODE for problem, _ in problems})
    driver: Json = {
        "name": "cachedoctor",
        "semanticVersion": VERSION,
        "rules": [_rule(code) for code in met],
    }
    if pages.site():
        driver["informationUri"] = pages.site()
    run: Json = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, name, met, below) for problem, name in problems],
    }
    said = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(said, indent=2, ensure_ascii=False)


def _rule(code: str) -> Json:
    if code == _NO_CODE:
        return {"id": code, "shortDescription": {"text": "The engine would not load the model."}}
    rule = rules.find(code)
    title, _, rest = (rule.__doc__ or "").partition("\n\n")
    said: Json = {
        "id": code,
        "name": "".join(part.capitalize() for part in rule.slug.split("-")),
        "shortDescription": {"text": title},
        "help": {"text": " ".join(rest.split()) or title},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }
    address = pages.of_code(code)
    return {**said, "helpUri": address} if address else said


def _result(problem: Problem, name: str, met: Sequence[str], below: Callable[[str], str]) -> Json:
    code = problem.code or _NO_CODE
    mark = f"{code}\0{problem.path}".encode(errors="surrogateescape")
    said: Json = {
        "ruleId": code,
        "ruleIndex": met.index(code),
        "level": _LEVELS[problem.severity],
        "message": {"text": printable(f"{name}: {problem.message}")},
        "partialFingerprints": {"codeAndPath/v1": hashlib.sha256(mark).hexdigest()},
    }
    if problem.path:
        where = {"artifactLocation": {"uri": _address(problem.path, below(problem.path))}}
        said["locations"] = [{"physicalLocation": where}]
    return said


def _address(path: str, below: str) -> str:
    """Return a file's address: relative to the build's checkout, or whole."""
    address = quote(os.fsencode(below or os.path.abspath(path)))
    return address if below else f"file://{address}"
