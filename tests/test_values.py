"""Our named tuples are those of `typing`, and a start has nothing that it does not need."""

from __future__ import annotations

import pickle
import subprocess
import sys
import typing

from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import Digest


class Ours(NamedTuple):
    """One."""

    name: str  # of it
    size: int = 0
    more: tuple[str, ...] = ()

    @property
    def long(self) -> bool:
        """Say whether it is long."""
        return self.size > 1


class Theirs(typing.NamedTuple):
    """One."""

    name: str  # of it
    size: int = 0
    more: tuple[str, ...] = ()


def test_a_value_is_what_typing_makes() -> None:
    """Fields, defaults, methods, hints, words and copies."""
    assert tuple(Ours("a")) == tuple(Theirs("a")) == ("a", 0, ())
    assert Ours._fields == Theirs._fields
    assert Ours._field_defaults == Theirs._field_defaults
    assert repr(Ours("a", 2)) == repr(Theirs("a", 2)).replace("Theirs", "Ours")
    assert Ours("a", 2).long
    assert Ours("a")._replace(size=3).size == 3
    assert (Ours.__doc__, Ours.__module__, Ours.__qualname__) == ("One.", __name__, "Ours")
    assert typing.get_type_hints(Ours) == typing.get_type_hints(Theirs)
    digest = Digest("sha256", "0")
    assert pickle.loads(pickle.dumps((digest, Ours("a")))) == (digest, Ours("a"))


def test_a_preflight_in_a_running_python_imports_little() -> None:
    """What takes a tenth of its time each, and tells it nothing."""
    heavy = {"click", "ctypes", "inspect", "pkgutil"}
    code = (
        "import sys, cachedoctor; cachedoctor.preflight('faster-whisper', size='tiny')\n"
        f"print(*sorted({heavy!r}.intersection(sys.modules)))"
    )
    isolated = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"]
    ran = subprocess.run(isolated, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
