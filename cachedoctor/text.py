"""Format sizes, counts and names for people."""

from __future__ import annotations

import re

WIDTH = 80  # columns, where we break lines ourselves
# User info before the `@` of a URL, credentials after its `?`, and the hub's own tokens.
_LOGIN = r"(?<=://)[^/\s@\"'`<>]+@"
_SIGNED = r"(?i)(?<=[?&])([\w.-]*(?:token|sig|signature|key|secret|password))=[^&\s\"'`]+"
_TOKEN = r"\bhf_[A-Za-z0-9]{8,}"


def size(count: int) -> str:
    """Format a number of bytes in binary units with one decimal."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(amount, 1) < 1024:  # never "1024.0 MiB"
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def of_size(done: int, whole: int) -> str:
    """Format the progress of a number of bytes, in the unit of the total."""
    number, unit = size(whole).split(" ")
    scale = whole / float(number) if float(number) else 1.0
    return f"{done / scale:.{0 if unit == 'B' else 1}f} of {number} {unit}"


def masked(text: str) -> str:
    """Return `text` without the user names, passwords and tokens in URLs."""
    if "://" in text:
        text = re.sub(_SIGNED, r"\1=***", re.sub(_LOGIN, "***@", text))
    return re.sub(_TOKEN, "hf_***", text) if "hf_" in text else text


def printable(text: str) -> str:
    r"""Make `text` safe for a terminal: control characters and undecodable bytes as `\\xNN`.

    Zero-width characters and those that change the writing direction count as control characters.
    Passwords in URLs and tokens are masked.
    """
    text = masked(text)
    if text.isprintable():
        return text
    shown = []
    for character in text:
        number = ord(character)
        if 0xDC80 <= number <= 0xDCFF:
            shown.append(f"\\x{number - 0xDC00:02x}")
        elif character.isprintable():
            shown.append(character)
        else:
            escape = character.encode("utf-8", "surrogatepass")
            shown.append("".join(f"\\x{byte:02x}" for byte in escape))
    return "".join(shown)


def line(text: str) -> str:
    """Make a line safe: neither a terminal nor a CI log reads a command in it.

    Source: GitHub's runner, `ActionCommand.cs`: `::` after blanks, `##[` anywhere in a line.
    """
    shown = printable(text)
    begun = shown.lstrip()
    if begun.startswith("::"):
        shown = f"{shown[: len(shown) - len(begun)]}\\x3a{begun[1:]}"
    return shown.replace("##[", "##\\x5b")


def plural(count: int, noun: str) -> str:
    """Format a count with its noun."""
    many = noun[:-1] + "ies" if noun[-1] == "y" and noun[-2] not in "aeou" else noun + "s"
    return f"{count} {noun if count == 1 else many}"
