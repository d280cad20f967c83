"""The page's values → one HTML file that loads nothing and runs nothing but its own script.

Jinja2 escapes every text; scripts and styles are allowed only by their digests.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from cachedoctor.errors import CacheDoctorError
from cachedoctor.report.page.wording import moment
from cachedoctor.system import shipped
from cachedoctor.text import size

if TYPE_CHECKING:
    from markupsafe import Markup

    from cachedoctor.report.page.gathered import Page

GENERATOR = b'<meta name="generator" content="cachedoctor'
_LONGEST = 160  # letters of a name; its `title` has the whole name
_LONGEST_TEXT = 600  # of a sentence, likewise


def render(page: Page) -> bytes:
    """Return the page as UTF-8; raises `CacheDoctorError` if Jinja2 is not installed."""
    try:
        import jinja2
    except ImportError as error:
        raise CacheDoctorError(
            "a page needs Jinja2, which this Python does not have", hint="`pip install Jinja2`"
        ) from error
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_shipped),
    )
    environment.filters |= {"size": size, "moment": moment, "coded": _coded, "cut": cut}
    style, script = _shipped("page.css"), _shipped("page.js")
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    template = environment.get_template("page.html.j2")
    return template.render(page=page, style=style, script=script, policy=policy).encode()


def cut(text: str, longest: int = _LONGEST) -> str:
    """Return a text shortened to that length, with its beginning and its end."""
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 1]}…{text[-end:]}"


def _shipped(name: str) -> str:
    return shipped.read(__package__, name).decode()


def _digest(text: str) -> str:
    """Return the source of a policy that allows exactly this text.

    Source: Content Security Policy Level 3, 2.3.1, `hash-source`.
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _coded(text: str, longest: int = _LONGEST_TEXT) -> Markup:
    """Return a text as HTML, with backticked text as code."""
    from markupsafe import Markup, escape

    parts = cut(text, longest).split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        parts[-2:] = [f"{parts[-2]}`{parts[-1]}"]
    made = [
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    ]
    whole = Markup("").join(made)
    if len(text) <= longest:
        return whole
    return Markup('<span title="{}">{}</span>').format(text, whole)
