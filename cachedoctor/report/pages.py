"""The address of a finding's page on the project's site."""

from __future__ import annotations

from functools import cache


@cache
def site() -> str:
    """Return the documentation's address from the installed package's metadata, or nothing."""
    from importlib import metadata

    try:
        urls = metadata.metadata("model-cache-doctor").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # run from a folder or a zip
        return ""
    known = {name.strip().lower(): url.strip() for name, _, url in (u.partition(",") for u in urls)}
    return str(known.get("documentation", "")).rstrip("/")


def of_code(code: str) -> str:
    """Return the address of a code's page, or nothing if no site is known."""
    from cachedoctor import rules

    if not site() or code not in {rule.code for rule in rules.every()}:
        return ""
    return f"{site()}/rules.html#{code.lower()}-{rules.find(code).slug}"
