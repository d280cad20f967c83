"""Where a finding's page is on the project's site."""

from __future__ import annotations

from functools import cache


@cache
def site() -> str:
    """Return the address of the documentation, as the installed package gives it, or nothing."""
    from importlib import metadata

    try:
        urls = metadata.metadata("model-cache-doctor").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # run from a folder or a zip
        return ""
    known = {name.strip().lower(): url.strip() for name, _, url in (u.partition(",") for u in urls)}
    return str(known.get("documentation", "")).rstrip("/")


def of_code(code: str) -> str:
    """Return the address of a code's page, or nothing where no site is known."""
    from cachedoctor import rules

    if not site() or code not in {rule.code for rule in rules.every()}:
        return ""
    return f"{site()}/rules.html#{code.lower()}-{rules.find(code).slug}"
