"""Plans and their outcomes as data."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from cachedoctor.report import record
from cachedoctor.text import printable

if TYPE_CHECKING:
    from cachedoctor.host import Host
    from cachedoctor.plans.cures import Plan
    from cachedoctor.plans.unfinished import Unfinished
    from cachedoctor.runs.applying import Outcome


def plan_json(plan: Plan, host: Host) -> record.Json:
    """Return a plan as data."""
    body: record.Json = {
        "cures": [record.finding_json(finding) for finding in plan.cures],
        "by_hand": [record.finding_json(finding) for finding in plan.by_hand],
        "unfinished": [item.folder for item in plan.unfinished],
        "finishes": [_unfinished_json(item) for item in plan.unfinished],
        "fetch_bytes": plan.fetch_bytes,
        "fetch_bytes_known": plan.fetch_bytes_known,
        "copy_bytes": plan.copy_bytes,
        "aside_bytes": sum(repair.aside_bytes for repair in plan.repairs),
        "steps": [
            {"step": type(step).__name__, **step._asdict()}
            for repair in plan.everything
            for step in repair.steps
        ],
    }
    whole = json.dumps(body, sort_keys=True).encode()
    body["digest"] = hashlib.sha256(whole).hexdigest()
    return {**record.head(host), "plan": {**body, "free_bytes": plan.free_bytes}}


def _unfinished_json(item: Unfinished) -> record.Json:
    return {
        "id": item.id,
        "state": item.state,
        "folder": printable(item.folder),
        "repairs": [record.repair_json(repair) for repair in item.repairs],
        "steps": sum(len(repair.steps) for repair in item.repairs) + len(item.back),
        "back": [printable(words) for words in item.back],
    }


def run_json(plan: Plan, outcome: Outcome, host: Host) -> record.Json:
    """Return an applied plan as data."""
    return {
        **plan_json(plan, host),
        "run": {
            "ids": list(outcome.runs),
            "left": [record.finding_json(finding) for finding in outcome.left],
            "aside_bytes": outcome.aside_bytes,
            "taken_back": [{"id": name, "why": printable(why)} for name, why in outcome.taken_back],
            "deleted_bytes": outcome.deleted_bytes,
            "journaled": outcome.journaled,
        },
    }
