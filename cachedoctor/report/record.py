"""Values as JSON, schema 1; pure. Keys are added, never renamed, within a schema number."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from cachedoctor.doctor.footprint import reclaimable
from cachedoctor.findings import Finding, Severity
from cachedoctor.report.scan_text import counts, repairable
from cachedoctor.system import apps
from cachedoctor.text import masked, printable
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cachedoctor.diagnosis import Diagnosis
    from cachedoctor.doctor.core_ml import Asked
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Readiness, Repair
    from cachedoctor.host import Host
    from cachedoctor.lockfile import Lock
    from cachedoctor.locking import Locked
    from cachedoctor.plans.holdings import Bearing, Holding
    from cachedoctor.rules import Rule
    from cachedoctor.runs.quarantine import Kept
    from cachedoctor.verdict import Verdict
    from cachedoctor.vocabulary import Entry

SCHEMA = 1

# A backslash, a whole surrogate pair, or the half by which Python keeps a byte that is not UTF-8.
_ESCAPE = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\udc([89a-f][0-9a-f])")

Json = dict[str, object]


def dumps(body: Mapping[str, object]) -> str:
    r"""Return one JSON object, one line per row; bytes that are not UTF-8 become `\xNN`."""
    text = masked("{\n" + ",\n".join(map(_member, body.items())) + "\n}")
    text = text.replace("##[", "##\\u005b")  # a build's log would take it for a command
    if "\\udc" in text:  # half of a surrogate pair, which JSON readers refuse
        text = _ESCAPE.sub(lambda found: rf"\\x{found[1]}" if found[1] else found[0], text)
    return text


def _member(member: tuple[str, object]) -> str:
    """Return one value with its name; called once for each of a cache's thousands of rows."""
    name, value = member
    if isinstance(value, list) and value:
        return f'  "{name}": [\n    ' + ",\n    ".join(map(json.dumps, value)) + "\n  ]"
    return f'  "{name}": ' + json.dumps(value, indent=2).replace("\n", "\n  ")


def head(host: Host) -> Json:
    """Return the head of every command's JSON."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "cachedoctor", "version": VERSION},
        "host": {"home": host.home, "platform": host.platform, "project": host.project},
    }


def scan_json(report: Report, readiness: Iterable[Readiness] = ()) -> Json:
    """Return a scan as data."""
    from cachedoctor.plans import holdings

    bearings = holdings.bearings(report)
    return {
        **head(report.host),
        "entries": [
            {**entry_json(entry, report, one.size_bytes, one.files), **bearing_json(one)}
            for entry in report.entries
            for one in (bearings.of[entry.id],)
        ],
        "findings": [finding_json(finding) for finding in report.findings],
        "readiness": [dict(answer._asdict()) for answer in readiness],
        "core_ml": core_ml_json(report.core_ml),
        "summary": _summary(report, bearings.total_bytes),
    }


def core_ml_json(asked: Asked | None) -> Json | None:
    """Return what Core ML was asked as data; `None` if it was not to be asked."""
    if asked is None:
        return None
    return {
        "loaded": asked.loaded,
        "refused": len(asked.refused),
        "alike": printable(asked.alike) or None,
        "not_asked": [
            {"engine": each.engine, "path": printable(each.path) or None, "why": each.why}
            for each in asked.unasked
        ],
    }


def finding_json(finding: Finding) -> Json:
    """Return one finding as data."""
    body: Json = {
        "code": finding.code,
        "slug": finding.slug,
        "severity": finding.severity.value,
        "entries": list(finding.entries),
        "engines": list(finding.engines),
        "locator": finding.locator,
        **_path_json(finding.path),
        "links": [printable(link) for link in finding.links],
        "message": printable(finding.message),
        "measured": finding.measured,
        "expected": finding.expected,
        "unit": finding.unit,
        "evidence": finding.evidence,
        "repair": repair_json(finding.repair) if finding.repair else None,
    }
    return body


def repair_json(repair: Repair) -> Json:
    """Return what a repair would do as data."""
    return {
        "kind": repair.kind,
        "safety": repair.safety.value,
        "describe": printable(repair.describe),
        "fetch_bytes": repair.fetch_bytes,
        "copy_bytes": repair.copy_bytes,
        "aside_bytes": repair.aside_bytes,
    }


def error_json(message: str, hint: str, code: int) -> Json:
    """Return an error that ended a command as data."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "cachedoctor", "version": VERSION},
        "error": {
            "message": printable(message),
            "hint": printable(hint) or None,
            "exit_code": code,
        },
    }


def verdict_json(verdict: Verdict, host: Host) -> Json:
    """Return a preflight's verdict as data."""
    body = verdict._asdict()
    repair = body.pop("repair")
    del body["options"]  # the cure has them
    body["checked"] = dict(verdict.checked._asdict()) if verdict.checked else None
    body["repair"] = repair_json(repair) if repair else None
    body["cure"] = None if verdict.ready else verdict.cure
    body["warnings"] = [finding_json(finding) for finding in verdict.warnings]
    return {**head(host), "verdict": body}


def verdicts_json(verdicts: Sequence[Verdict], host: Host, *, many: bool) -> Json:
    """Return one preflight's verdict, or the models of a lock file's models."""
    if not many:
        return verdict_json(verdicts[0], host)
    bodies = [verdict_json(verdict, host)["verdict"] for verdict in verdicts]
    ready = all(verdict.ready for verdict in verdicts)
    return {**head(host), "ready": ready, "verdicts": bodies}


def diagnosis_json(found: Diagnosis, host: Host) -> Json:
    """Return what an engine's text means as data."""
    return {
        **head(host),
        "recognised": [
            {
                "line": one.line,
                "text": printable(one.text),
                "engines": list(one.engines),
                "cause": one.cause,
                "codes": list(one.codes),
                "source": one.symptom.source,
            }
            for one in found.recognised
        ],
        "findings": [finding_json(finding) for finding in found.findings],
        "unready": [dict(answer._asdict()) for answer in found.unready],
    }


def lock_json(found: Sequence[Locked], host: Host) -> Json:
    """Return the models of a lock file as data."""
    return {
        **head(host),
        "models": [
            {
                "engine": one.model.engine,
                "name": one.model.name,
                "repository": one.model.repository or None,
                "revision": one.model.revision or None,
                "url": one.model.url or None,
                "from": "listing" if one.online else "files",
                "unproven": list(one.unproven),
                "files": {
                    name: {"bytes": file.bytes, **file.digests}
                    for name, file in sorted(one.model.files.items())
                },
            }
            for one in found
        ],
    }


def locks_json(locks: Sequence[Lock], host: Host) -> Json:
    """Return the valid lock files as data."""
    return {
        **head(host),
        "locks": [
            {
                "path": printable(os.path.abspath(lock.path)),
                "models": len(lock.models),
                "files": sum(len(model.files) for model in lock.models),
            }
            for lock in locks
        ],
    }


def rules_json(rules: Iterable[Rule]) -> Json:
    """Return the rules' pages as data."""
    import inspect

    return {
        "schema": SCHEMA,
        "tool": {"name": "cachedoctor", "version": VERSION},
        "rules": [
            {
                "code": rule.code,
                "slug": rule.slug,
                "severity": rule.severity.value,
                "title": rule.title(),
                "page": inspect.cleandoc(rule.__doc__ or ""),
            }
            for rule in rules
        ],
    }


def entry_json(entry: Entry, report: Report, size_bytes: int, files: int) -> Json:
    """Return one entry as data, with what its files are and how many, each counted once."""
    claims = entry.claims
    return {
        "id": entry.id,
        "engines": list(entry.engines),
        "model": entry.model,
        "sizes": list(claims[0].sizes) if claims else [],
        "locator": entry.locator,
        "root": printable(entry.root),
        **_path_json(entry.path),
        "revision": entry.revision,
        "status": report.statuses[entry.id].value,
        "checked": dict(report.checked[entry.id]._asdict()),
        "size_bytes": size_bytes,
        "files": files,
        "apps": [app] if (app := apps.owner(report.host, entry.path)) else [],
        "known_by": claims[0].known_by if claims else None,
    }


def bearing_json(one: Bearing | Holding) -> Json:
    """Return what a manager asks about an entry as data, as far as a scan can tell."""
    return {
        "own_bytes": one.own_bytes,
        "last_used_s": one.used.when_s,
        "kept_by": [printable(reason) for reason in one.kept_by],
        "refetch_bytes": one.refetch_bytes,
    }


def _path_json(path: str) -> Json:
    shown = printable(path)
    try:
        path.encode()
    except UnicodeEncodeError:
        import base64

        return {"path": shown, "path_bytes": base64.b64encode(os.fsencode(path)).decode()}
    return {"path": path}


def _summary(report: Report, size_bytes: int) -> Json:
    count = counts(report.findings)
    return {
        "entries": len(report.entries),
        "findings": len(report.findings),
        "errors": count[Severity.ERROR],
        "warnings": count[Severity.WARNING],
        "notes": count[Severity.NOTE],
        "repairable": sum(1 for finding in report.findings if repairable(finding)),
        "size_bytes": size_bytes,
        "reclaimable_bytes": reclaimable(report.findings, report.survey.entries),
        "seconds": round(report.seconds, 4),
    }


def kept_json(kept: Sequence[Kept], host: Host) -> Json:
    """Return what is set aside as data."""
    return {**head(host), "quarantine": [dict(item._asdict()) for item in kept]}
