"""Saved answers of made-up machines, as `--json` would have written them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cachedoctor import rules
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Body = dict[str, Any]

GIB = 1 << 30
HUB = ".cache/huggingface/hub"
MODELS = (  # engine, model, layout, place below the home, bytes, sizes
    ("faster-whisper", "large-v3-turbo", "hub-cache", HUB, 1617 << 20, "large"),
    ("faster-whisper", "small", "hub-cache", HUB, 484 << 20, "small"),
    ("mlx-whisper", "large-v3-turbo", "hub-cache", HUB, 1614 << 20, "large"),
    ("whisper.cpp", "small", "ggml-folder", "dev/app/models", 466 << 20, "small"),
    ("whisper.cpp", "base", "ggml-folder", "dev/app/models", 142 << 20, "base"),
    ("openai-whisper", "large-v3", "openai-cdn", ".cache/whisper", 2944 << 20, "large"),
    ("whisperkit", "openai_whisper-large-v3", "documents", "Documents/models", 3 * GIB, "large"),
    ("fluidaudio", "parakeet-tdt-0.6b-v3", "application-support", "Library/F", 463 << 20, "small"),
    ("", "meta-llama/Llama-3.1-8B", "hub-cache", HUB, 15 * GIB, ""),
)  # fmt: skip


def head(home: str = "/Users/ada", platform: str = "darwin") -> Body:
    """Return the head of every answer."""
    return {
        "schema": 1,
        "tool": {"name": "cachedoctor", "version": VERSION},
        "host": {"home": home, "platform": platform, "project": None},
    }


def entry(name: str, home: str = "/Users/ada", **more: object) -> Body:
    """Return a model, whole and in a hub cache by default."""
    size = more.get("size_bytes", GIB)
    root = f"{home}/.cache/huggingface/hub"
    return {
        "id": f"hub-cache/3e3e638e/{name}",
        "engines": ["faster-whisper"],
        "model": name,
        "sizes": [],
        "locator": "hub-cache",
        "root": root,
        "path": f"{root}/models--Systran--{name}/snapshots/{'5ca1ab1e' * 5}",
        "revision": "5ca1ab1e" * 5,
        "status": "ready",
        "checked": {"digest": 1, "structure": 3, "none": 0},
        "size_bytes": size,
        "files": 4,
        "own_bytes": size,
        "last_used_s": None,
        "apps": [],
        "kept_by": [],
        "refetch_bytes": size,
        "known_by": "name",
        **more,
    }


def finding(code: str, entry_id: str = "", message: str = "", **more: object) -> Body:
    """Return a finding with a code, repairable from local bytes by default."""
    rule = rules.find(code if code != "CD999" else "CD101")
    return {
        "code": code,
        "slug": rule.slug,
        "severity": rule.severity.value,
        "entries": [entry_id] if entry_id else [],
        "engines": ["faster-whisper"],
        "locator": "hub-cache",
        "path": f"/Users/ada/{entry_id or code}",
        "links": [],
        "message": message or rule.title(),
        "measured": None,
        "expected": None,
        "unit": None,
        "evidence": None,
        "repair": {
            "kind": "restore-file",
            "safety": "safe",
            "describe": "copy `model.bin` from the hub cache",
            "fetch_bytes": 0,
            "copy_bytes": 4096,
            "aside_bytes": 0,
        },
        **more,
    }


def scan(entries: Sequence[Body], findings: Sequence[Body] = (), **more: object) -> Body:
    """Return a scan's answer."""
    count = {level: sum(f["severity"] == level for f in findings) for level in _LEVELS}
    summary = {
        "entries": len(entries),
        "findings": len(findings),
        **{f"{level}s": number for level, number in count.items()},
        "repairable": len(findings),
        "size_bytes": sum(each["size_bytes"] for each in entries),
        "reclaimable_bytes": 0,
        "seconds": 0.1,
    }
    body = {"entries": list(entries), "findings": list(findings), "readiness": []}
    return {**head(), **body, "core_ml": None, "summary": summary, **more}


_LEVELS = ("error", "warning", "note")


def mac(home: str = "/Users/ada", *, broken: bool = True) -> Body:
    """Return a scan of a Mac with the models of several engines, two of them broken."""
    entries, findings = [], []
    for engine, model, layout, place, size, sizes in MODELS:
        known = (
            f"{layout}/3e3e638e/{model}" if "/" in model else f"{layout}/3e3e638e/{engine}/{model}"
        )
        entries.append(
            entry(
                model,
                home,
                id=known,
                engines=[engine] if engine else [],
                model=model if engine else None,
                sizes=[sizes] if sizes else [],
                locator=layout,
                root=f"{home}/{place}",
                path=f"{home}/{place}/{model}",
                size_bytes=size,
                own_bytes=size,
                apps=["VoiceInk"] if engine == "whisper.cpp" else [],
                last_used_s=1_790_000_000 - size % 9_000_000 if engine else None,
                needed_by=[{"engine": engine, "sizes": [sizes]}] if engine else [],
            )
        )
    if broken:
        for number, code, message in (
            (6, "CD101", "`TextDecoder.mlmodelc/weights/weight.bin` is missing"),
            (7, "CD102", "`Encoder.mlmodelc` holds 1 file, 3.0 KiB; no `coremldata.bin`"),
            (7, "CD410", "fluidaudio 0.13.4 and later look in `parakeet-tdt-0.6b-v3`"),
        ):
            known = entries[number]["id"]
            findings.append(finding(code, known, message, engines=entries[number]["engines"]))
            entries[number]["status"] = "incomplete"
        fetched = {**findings[0]["repair"], "safety": "fetches", "fetch_bytes": 1700 << 20}
        findings[0]["repair"] = fetched
        findings.append(
            finding(
                "CD504",
                entries[0]["id"],
                "`model.bin` of faster-whisper/small is stored 2 times, in the hub cache and ~/old",
                measured=484 << 20,
                unit="bytes",
                links=[f"{home}/old/model.bin"],
                repair=None,
            )
        )
        aside = {**findings[1]["repair"], "kind": "set-aside", "aside_bytes": 1200 << 20}
        findings.append(
            finding(
                "CD502",
                entries[1]["id"],
                "`5f5f.incomplete` was left behind by a killed download",
                measured=1200 << 20,
                unit="bytes",
                repair=aside,
            )
        )
    return scan(entries, findings, host={"home": home, "platform": "darwin", "project": None})


def bench(rows: Sequence[tuple[str, str, Sequence[float]]], began_s: int = 1_790_000_000) -> Body:
    """Return a benchmark's answer: engine, model and the seconds of each run."""
    measured = [
        {
            "engine": engine,
            "model": model,
            "runs_s": list(runs),
            "load_warm_s": 0.31,
            "word_error_rate": 0.04 * number,
            "peak_bytes": (number + 1) << 30,
        }
        for number, (engine, model, runs) in enumerate(rows)
    ]
    return {
        **head(),
        "bench": {
            "began_s": began_s,
            "interrupted": False,
            "clip": {"path": "clip.wav", "seconds": 11.0, "sha256": "0" * 64, "words": None},
            "settings": {"runs": 5, "warmup": 1, "threads": 8, "in_turn": True},
            "machine": {
                "system": "macOS 26",
                "chip": "M2 Pro",
                "cores": 10,
                "memory_bytes": 1 << 34,
            },
            "rows": measured,
            "left_out": [
                {
                    "engine": "whisperkit",
                    "model": None,
                    "code": "CD101",
                    "why": "weights are missing",
                    "cure": "cachedoctor fix whisperkit --size small",
                    "text": None,
                }
            ],
        },
    }


def fleet(hosts: dict[str, tuple[str, str | None, Body | None]]) -> Body:
    """Return a fleet's answer: each host's state, why there is no answer, its document."""
    states = [state for state, _, _ in hosts.values()]
    return {
        "schema": 1,
        "tool": {"name": "cachedoctor", "version": VERSION},
        "command": "scan",
        "hosts": {
            name: {"state": state, "why": why, "seconds": 1.0, "document": document}
            for name, (state, why, document) in hosts.items()
        },
        "states": {state: states.count(state) for state in states},
        "exit_code": 1,
    }


def many(count: int) -> Body:
    """Return a scan of that many models, every fiftieth of them broken."""
    entries, findings = [], []
    for number in range(count):
        name = f"faster-whisper-{number:05}-some-name-of-a-fine-tune"
        size = (number * 7919 % 9973 + 1) << 20
        entries.append(entry(name, size_bytes=size, last_used_s=1_700_000_000 + number * 3600.0))
        if number % 50 == 0:
            entries[-1]["status"] = "corrupt"
            findings.append(finding("CD201", entries[-1]["id"], "`model.bin` is cut short"))
    return scan(entries, findings)


NASTY = (
    "<script>document.title='taken'</script>",
    '"><img src=x onerror="document.title=\'taken\'">',
    "</style></title><h2>taken",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\u202egnp.exe\u2066",
    "\u05e9\u05dc\u05d5\u05dd \u0639\u0631\u0628\u064a",
    "two\nlines\r\tand \x1b[31mred\x00",
    "x" * 10_000,
    "bad\udcff\udc80byte",
    "`tick` & <b>bold</b> 'quote'",
    "https://user:hunter2@host/hf_abcdefghijklmnop",
)


def hostile() -> Body:
    """Return a scan in which every text is hostile and must only be displayed."""
    entries, findings = [], []
    for number, name in enumerate(NASTY):
        entries.append(
            entry(
                name,
                id=f"hub-cache/3e3e638e/{number}{name}",
                engines=[name],
                path=f"/Users/ada/{name}",
                root=f"/Users/{name}",
                status=("incomplete", name, "ready")[number % 3],
                locator=name,
                apps=[name],
                kept_by=[name],
                size_bytes=(number + 1) << 28,
                own_bytes=1,
            )
        )
        repair = {"safety": ("manual", "safe")[number % 2], "describe": name, "kind": name}
        findings.append(
            finding(
                "CD101",
                entries[-1]["id"],
                name,
                slug=name,
                path=name,
                links=[name],
                engines=[name],
                measured=name,
                expected=name,
                unit=name,
                evidence=name,
                repair=repair,
            )
        )
        findings.append(finding("CD999" if number % 2 else "CD504", "", name, links=[name]))
    ready = [{"engine": name, "size": "tiny", "model": name, "why": name} for name in NASTY]
    loose = [{"code": "CD502", "what": name, "path": name, "bytes": 5 << 20} for name in NASTY]
    return scan(entries, findings, readiness=ready, loose=loose, kept_unknown=list(NASTY))


def save(body: Body, path: Path) -> str:
    """Write an answer to a file, odd bytes and all; return its path."""
    path.write_text(json.dumps(body))
    return str(path)
