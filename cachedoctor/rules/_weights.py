"""Compare weights with what their engine asks of them, by their header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor import formats
from cachedoctor.errors import Fault, FormatError
from cachedoctor.looking import untrusted
from cachedoctor.rules import _small_files as small_files
from cachedoctor.vocabulary import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachedoctor.vocabulary import Artifact, Requirement


def contradiction(artifact: Artifact, need: Requirement) -> FormatError | None:
    """Return a fault if weights lack a name that their engine looks for, or give wrong sizes."""
    sizes: Mapping[str, object] = {}
    shapes: Mapping[str, tuple[int, ...]] = {}
    try:
        with untrusted.open_regular(artifact.file, follow=True) as file:
            said = formats.says(artifact.format, file, artifact.size_bytes)
            if need.agrees:
                sizes = formats.settings(artifact.format, file, artifact.size_bytes)
                shapes = formats.shapes(artifact.format, file, artifact.size_bytes)
    except (FormatError, OSError, ArithmeticError, LookupError, ValueError):
        return None  # it has a finding of its own
    lacks = next((key for key in need.keys if key.encode() not in said), "") if said else ""
    if lacks:
        message = f"holds no `{lacks}`: it is for another engine, or not a model"
        return FormatError(Fault.MALFORMED, message)
    return small_files.check_own_sizes(sizes, need, shapes) if need.agrees else None


def worth_a_sniff(artifact: Artifact) -> bool:
    """Return whether an unclaimed file looks like weights and its size proves nothing.

    Files in bundles are read with their bundle.
    """
    if artifact.size_bytes == artifact.expected_bytes or not artifact.name.endswith(WEIGHTS):
        return False
    return ".mlmodelc/" not in artifact.name and ".mlpackage/" not in artifact.name
