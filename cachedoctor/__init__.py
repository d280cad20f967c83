"""Find, verify and repair the model caches of local speech engines.

```python
import cachedoctor

verdict = cachedoctor.preflight("faster-whisper", size="small")
if not verdict.ready:
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
    from cachedoctor.doctor.scanning import scan
    from cachedoctor.host import Host
    from cachedoctor.manager.library import apply, dedupe, free, models, move, prune, remove, unpack
    from cachedoctor.plans.cures import plan
    from cachedoctor.plans.packing import pack
    from cachedoctor.verdict import ensure, preflight

_HOMES = {
    "Host": "host",
    "apply": "manager.library",
    "dedupe": "manager.library",
    "ensure": "verdict",
    "free": "manager.library",
    "models": "manager.library",
    "move": "manager.library",
    "pack": "plans.packing",
    "plan": "plans.cures",
    "preflight": "verdict",
    "prune": "manager.library",
    "remove": "manager.library",
    "scan": "doctor.scanning",
    "unpack": "manager.library",
}

__all__ = [
    "Host",
    "apply",
    "dedupe",
    "ensure",
    "free",
    "models",
    "move",
    "pack",
    "plan",
    "preflight",
    "prune",
    "remove",
    "scan",
    "unpack",
]


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module `cachedoctor` has no attribute `{name}`")
    return getattr(importlib.import_module(f"cachedoctor.{_HOMES[name]}"), name)
