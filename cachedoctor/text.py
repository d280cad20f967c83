"""Amounts, counts and names as people read them."""

from __future__ import annotations

import re

WIDTH = 80  # of a terminal, as far as lines are broken by us
# What is in an address before the `@`, what proves who asks after `?`, and the hub's own tokens.
_LOGIN = r"(?<=://)[^/\s@\"'`<>]+@"
_SIGNED = r"(?i)(?<=[?&])([\w.-]*(?:token|sig|signature|key|secret|password))=[^&\s\"'`]+"
_TOKEN = r"\bhf_[A-Za-z0-9]{8,}"


def size(count: int) -> str:
    """Return a number of bytes in binary units with one decimal."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(amount, 1) < 1024:  # never "1024.0 MiB"
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def of_size(done: int, whole: int) -> str:
    """Return how much of a number of bytes is done, in the unit of the whole."""
    number, unit = size(whole).split(" ")
    scale = whole / float(number) if float(number) else 1.0
    return f"{done / scale:.{0 if unit == 'B' else 1}f} of {number} {unit}"


def masked(text: str) -> str:
    """Return `text` without user names, passwords and tokens, as they are in addresses."""
    if "://" in text:
        text = re.sub(_SIGNED, r"\1=***", re.sub(_LOGIN, "***@", text))
    return re.sub(_TOKEN, "hf_***", text) if "hf_" in text else text


def printable(text: str) -> str:
    r"""Return `text` safe for a terminal: control characters and undecodable bytes as `\\xNN`.

    What has no width or turns the direction of writing counts as a control character. Passwords in
    addresses and tokens are masked.
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
    """Return one line that neither a terminal nor the log of a build takes for a command.

    Source: GitHub's runner, `ActionCommand.cs`: `::` after blanks, `##[` anywhere in a line.
    """
    shown = printable(text)
    begun = shown.lstrip()
    if begun.startswith("::"):
        shown = f"{shown[: len(shown) - len(begun)]}\\x3a{begun[1:]}"
    return shown.replace("##[", "##\\x5b")


def plural(count: int, noun: str) -> str:
    """Return a count and its noun."""
    many = noun[:-1] + "ies" if noun[-1] == "y" and noun[-2] not in "aeou" else noun + "s"
    return f"{count} {noun if count == 1 else many}"
