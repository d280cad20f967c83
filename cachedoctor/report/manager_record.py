"""What the manager's commands answer, as JSON; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor import rules
from cachedoctor.report import record
from cachedoctor.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cachedoctor.findings import Finding
    from cachedoctor.host import Host
    from cachedoctor.plans.changes import Change
    from cachedoctor.plans.holdings import Holding, Holdings
    from cachedoctor.plans.kept import Registered
    from cachedoctor.plans.packing import Packing
    from cachedoctor.report.record import Json
    from cachedoctor.runs.applying import Outcome


def list_json(
    holdings: Holdings,
    chosen: Sequence[Holding],
    loose: Sequence[Finding],
    freed: Mapping[str, int],
) -> Json:
    """Return what the disk holds as data."""
    return {
        **record.head(holdings.report.host),
        "entries": [holding_json(one, holdings) for one in chosen],
        "loose": [
            {
                "code": finding.code,
                "what": rules.find(finding.code).litter,
                "path": printable(finding.path),
                "bytes": finding.bytes,
            }
            for finding in loose
        ],
        "kept_unknown": [printable(problem) for problem in holdings.roots.problems],
        "summary": {
            "entries": len(chosen),
            "size_bytes": holdings.total_bytes,
            "exact": holdings.exact,
            "loose_bytes": sum(finding.bytes for finding in holdings.loose),
            "without_loss_bytes": sum(freed.values()),
        },
    }


def holding_json(one: Holding, holdings: Holdings) -> Json:
    """Return one model as data."""
    return {
        **record.entry_json(one.entry, holdings.report, one.size_bytes, one.files),
        **record.bearing_json(one),
        "own_exact": one.exact,
        "last_used_by": one.used.how or None,
        "asked_s": one.used.asked_s,
        "needed_by": [{"engine": name, "sizes": list(sizes)} for name, sizes in one.needed_by],
        "in_use_by": list(one.programs),
    }


def change_json(change: Change, host: Host) -> Json:
    """Return what a command would change as data."""
    return {
        **record.head(host),
        "change": {
            "verb": change.verb,
            "choices": [
                {
                    "title": printable(choice.title),
                    "path": printable(choice.path),
                    "entries": list(choice.entries),
                    "reason": printable(choice.reason),
                    "bytes": choice.bytes,
                    "refetch_bytes": choice.refetch_bytes,
                    "waste": choice.waste,
                    "then": list(choice.then),
                    "kept_by": [printable(reason) for reason in choice.needed_by],
                    "steps": [
                        {"step": type(step).__name__, **step._asdict()}
                        for step in choice.repair.steps
                    ],
                }
                for choice in change.choices
            ],
            "spared": [
                {
                    "title": printable(one.title),
                    "path": printable(one.path),
                    "entries": list(one.entries),
                    "why": printable(one.why),
                    "bytes": one.bytes,
                    "named": one.named,
                }
                for one in change.spared
            ],
            "bytes": change.bytes,
            "target_bytes": change.target_bytes,
            "refetch_bytes": change.refetch_bytes,
        },
    }


def changed_json(
    change: Change, outcome: Outcome, host: Host, freed_bytes: int | None, *, deleted: bool
) -> Json:
    """Return an applied change as data."""
    return {
        **change_json(change, host),
        "run": {
            "ids": list(outcome.runs),
            "aside_bytes": 0 if deleted else change.bytes,
            "deleted": deleted,
            "freed_bytes": freed_bytes,
        },
    }


def pack_json(found: Packing, written: int, output: str, host: Host) -> Json:
    """Return what was packed as data."""
    return {
        **record.head(host),
        "pack": {
            "path": printable(output),
            "models": [f"{model.engine}:{model.name}" for model in found.models],
            "files": len(found.files),
            "left_out": len(found.left_out),
            "bytes": found.bytes,
            "written_bytes": written,
        },
    }


def registered_json(found: Sequence[Registered], host: Host) -> Json:
    """Return the lock files that are registered as data."""
    return {
        **record.head(host),
        "registered": [
            {"path": printable(one.origin), "copy": printable(one.copy)} for one in found
        ],
    }
