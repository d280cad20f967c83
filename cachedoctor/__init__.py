"""Find, verify and repair the model caches of local speech engines.

```python
import cachedoctor

if verdict := cachedoctor.preflight("faster-whisper", size="small"):
    print("load", verdict.path)
else:
    print(verdict.why, verdict.cure)
verdict = cachedoctor.ensure("faster-whisper", size="small", allow=lambda plan: True)

for model in cachedoctor.models().models:
    print(model.id, model.own_bytes, model.used.when_s, model.kept_by)
change = cachedoctor.free(20 << 30)
if change.reached:
    cachedoctor.apply(change)
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachedoctor.diagnosis import Diagnosis, Recognised, Symptom
    from cachedoctor.doctor.contents import FileVerdict
    from cachedoctor.doctor.judging import Checked
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.errors import (
        CacheDoctorError,
        CancelledError,
        CannotLookError,
        FetchError,
        LockHeldError,
        RepairError,
        UsageError,
    )
    from cachedoctor.findings import Finding, Readiness, Repair, Safety, Severity
    from cachedoctor.host import Host
    from cachedoctor.lockfile import Lock, LockedFile, LockedModel
    from cachedoctor.manager.asking import (
        Locking,
        Verification,
        diagnose,
        lock,
        read_lock,
        scan,
        verify,
        where,
    )
    from cachedoctor.manager.library import (
        PastRun,
        apply,
        dedupe,
        free,
        history,
        models,
        move,
        pack,
        plan,
        prune,
        remove,
        undo,
        unpack,
    )
    from cachedoctor.plans.changes import Change, Choice, Spared
    from cachedoctor.plans.cures import Plan
    from cachedoctor.plans.holdings import Holding, Holdings
    from cachedoctor.plans.packing import Packing
    from cachedoctor.plans.unfinished import Unfinished
    from cachedoctor.runs.applying import Outcome
    from cachedoctor.runs.carrying import Carried
    from cachedoctor.system.usage import Used
    from cachedoctor.system.watching import Cancel, Moment
    from cachedoctor.verdict import Verdict, ensure, preflight
    from cachedoctor.version import VERSION as __version__  # noqa: N811 - the conventional name
    from cachedoctor.vocabulary import Claim, Entry, Status

# Where each name is defined, so that it is imported on first use.
_HOMES = {
    "diagnosis": ("Diagnosis", "Recognised", "Symptom"),
    "doctor.contents": ("FileVerdict",),
    "doctor.judging": ("Checked",),
    "doctor.scanning": ("Report",),
    "errors": (
        "CacheDoctorError",
        "CancelledError",
        "CannotLookError",
        "FetchError",
        "LockHeldError",
        "RepairError",
        "UsageError",
    ),
    "findings": ("Finding", "Readiness", "Repair", "Safety", "Severity"),
    "host": ("Host",),
    "lockfile": ("Lock", "LockedFile", "LockedModel"),
    "manager.asking": (
        "Locking",
        "Verification",
        "diagnose",
        "lock",
        "read_lock",
        "scan",
        "verify",
        "where",
    ),
    "manager.library": (
        "PastRun",
        "apply",
        "dedupe",
        "free",
        "history",
        "models",
        "move",
        "pack",
        "plan",
        "prune",
        "remove",
        "undo",
        "unpack",
    ),
    "plans.changes": ("Change", "Choice", "Spared"),
    "plans.cures": ("Plan",),
    "plans.holdings": ("Holding", "Holdings"),
    "plans.packing": ("Packing",),
    "plans.unfinished": ("Unfinished",),
    "runs.applying": ("Outcome",),
    "runs.carrying": ("Carried",),
    "system.usage": ("Used",),
    "system.watching": ("Cancel", "Moment"),
    "verdict": ("Verdict", "ensure", "preflight"),
    "vocabulary": ("Claim", "Entry", "Status"),
}

__all__ = [
    "CacheDoctorError",
    "Cancel",
    "CancelledError",
    "CannotLookError",
    "Carried",
    "Change",
    "Checked",
    "Choice",
    "Claim",
    "Diagnosis",
    "Entry",
    "FetchError",
    "FileVerdict",
    "Finding",
    "Holding",
    "Holdings",
    "Host",
    "Lock",
    "LockHeldError",
    "LockedFile",
    "LockedModel",
    "Locking",
    "Moment",
    "Outcome",
    "Packing",
    "PastRun",
    "Plan",
    "Readiness",
    "Recognised",
    "Repair",
    "RepairError",
    "Report",
    "Safety",
    "Severity",
    "Spared",
    "Status",
    "Symptom",
    "Unfinished",
    "UsageError",
    "Used",
    "Verdict",
    "Verification",
    "__version__",
    "apply",
    "dedupe",
    "diagnose",
    "ensure",
    "free",
    "history",
    "lock",
    "models",
    "move",
    "pack",
    "plan",
    "preflight",
    "prune",
    "read_lock",
    "remove",
    "scan",
    "undo",
    "unpack",
    "verify",
    "where",
]


def __getattr__(name: str) -> object:
    """Import a name on first use."""
    if name == "__version__":
        return importlib.import_module("cachedoctor.version").VERSION
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(importlib.import_module(f"cachedoctor.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module `cachedoctor` has no attribute `{name}`")


def __dir__() -> list[str]:
    """Return every public name, for completion in an editor."""
    return sorted({*globals(), *__all__})
