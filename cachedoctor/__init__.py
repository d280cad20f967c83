"""Find, verify and repair the model caches of local speech engines.

```python
import cachedoctor

verdict = cachedoctor.preflight("faster-whisper", size="small")
if not verdict.ready:
    print(verdict.why, verdict.cure)
verdict = cachedoctor.ensure("faster-whisper", size="small", allow=lambda plan: True)
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachedoctor.doctor.scanning import scan
    from cachedoctor.host import Host
    from cachedoctor.plans.cures import plan
    from cachedoctor.runs.applying import apply
    from cachedoctor.verdict import ensure, preflight

_HOMES = {
    "Host": "host",
    "apply": "runs.applying",
    "ensure": "verdict",
    "plan": "plans.cures",
    "preflight": "verdict",
    "scan": "doctor.scanning",
}

__all__ = ["Host", "apply", "ensure", "plan", "preflight", "scan"]


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module `cachedoctor` has no attribute `{name}`")
    return getattr(importlib.import_module(f"cachedoctor.{_HOMES[name]}"), name)
