"""Find and talk to the bridges: the Swift programs that run WhisperKit and FluidAudio.

A bridge answers each command or request with one line of JSON that names its protocol;
docs/bridges.md describes them. They need no network, and download, move and delete nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sysconfig
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from cachedoctor.engines import catalog
from cachedoctor.errors import CacheDoctorError
from cachedoctor.looking import untrusted
from cachedoctor.system import child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PROTOCOL = 1
INSTALL = (  # from source, on a Mac
    "CACHEDOCTOR_BRIDGES=ON pip install --force-reinstall "
    "--no-binary model-cache-doctor model-cache-doctor"
)
_LAST_WORDS = 200
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "CACHEDOCTOR_BRIDGE_SANDBOX")
_DEAD = "http://127.0.0.1:9"  # the discard port
_TEST_S = 30.0  # macOS inspects a program the first time it runs


class BridgeError(CacheDoctorError):
    """Report what a bridge refused, or that it gave no answer.

    `code` is the bridge's own, such as `broken-bundle`, or one of ours: `silent` for no answer,
    `garbled` for an answer that does not parse, `other-protocol` and `cannot-run`.
    """

    exit_code = 4

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code

    @property
    def of_platform(self) -> bool:
        """Return whether the engine cannot run on this system at all."""
        return self.code == "wrong-platform"


class SilentError(BridgeError):
    """Report that a bridge exited or timed out without an answer."""

    def __init__(self, program: str, silence: child.Silence, errors: str) -> None:
        self.reason = _end(silence, errors)
        super().__init__("silent", f"`{program}` {self.reason}")
        self.silence = silence
        self.errors = errors


@cache
def programs() -> Mapping[str, str]:
    """Return the bridge's name by engine, for the engines that have one; reads all tables."""
    tables = map(catalog.read, catalog.names())
    return {table.engine: table.bridge for table in tables if table.bridge}


def find(engine: str) -> str | None:
    """Return the path of an engine's bridge, if it was installed with this package, or `None`.

    Looks in the script folders of this interpreter, of this user, and of `pip install --target`.
    Does not look on PATH: other projects have programs with the same names.
    """
    user = sysconfig.get_preferred_scheme("user")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    beside = os.path.join(os.path.dirname(package), "bin")
    for folder in (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", user), beside):
        path = os.path.join(folder, catalog.read(engine).bridge)
        if os.access(path, os.X_OK):
            return path
    return None


def environment(variables: Mapping[str, str], home: str) -> dict[str, str]:
    """Return the environment to run a bridge with: no token, no libraries, no network."""
    kept = {name: variables[name] for name in _KEPT if name in variables}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _DEAD)
    return {**kept, **proxies, "HOME": home, "HF_HUB_OFFLINE": "1"}


def absence(engine: str) -> str:
    """Return a message that an engine's bridge is missing, with the build's reason if known."""
    note = resources.files("cachedoctor") / "no_bridges.txt"
    why = f": {note.read_text(encoding='utf-8').strip()}" if note.is_file() else ""
    return f"no `{catalog.read(engine).bridge}` beside cachedoctor{why}"


class Health(NamedTuple):
    """Whether a bridge works, according to its answer to `info`."""

    why: str = ""  # why it does not work
    version: str = ""
    engine_version: str = ""
    linked: bool = False
    unlinked: str = ""  # why it has no framework to ask
    models: frozenset[str] = frozenset()  # the models it knows by name


def examine(program: str, *, environment: Mapping[str, str]) -> Health:
    """Ask a bridge for its versions and models; one that cannot answer this can answer nothing."""
    try:
        said = ask(program, ["info"], environment=environment, timeout_s=_TEST_S)
        engine = said["engine"]
        return Health(
            why="",
            version=said["bridge"],
            engine_version=engine["version"],
            linked=bool(engine["linked"]),
            unlinked=engine["why"] or "",
            models=frozenset(known["name"] for known in engine["models"]),
        )
    except BridgeError as error:
        return Health(error.message)
    except (KeyError, TypeError):
        return Health(f"`{program}` gave an invalid answer to `info`")


def ask(
    program: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    timeout_s: float,
    on_poll: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Give a bridge one command and return its answer.

    A bundle that failed is still an answer to `check`. Raises `BridgeError` if there is no valid
    answer; never waits longer than `timeout_s`, and reads at most 16 MiB.
    """
    try:
        done = child.run(
            [program, *arguments], environment=environment, timeout_s=timeout_s, on_poll=on_poll
        )
    except OSError as error:
        raise _cannot_run(program, error) from error
    if done.timed_out or done.signal is not None or not done.output:
        silence = child.Silence(done.timed_out, done.code, done.signal)
        raise SilentError(program, silence, done.errors.decode(errors="replace"))
    return _read(program, done.output)


class Serving:
    """A bridge that keeps its model loaded from one request to the next."""

    def __init__(self, program: str, *, environment: Mapping[str, str]) -> None:
        """Start the program; raises `BridgeError` if it cannot be run."""
        self._program = program
        try:
            self._talk = child.Talk([program, "serve"], environment)
        except OSError as error:
            raise _cannot_run(program, error) from error

    def __enter__(self) -> Self:
        """Return itself; the program is already running."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the program."""
        self.end()

    @property
    def pid(self) -> int:
        """Return the program's process id."""
        return self._talk.pid

    def ask(
        self,
        request: str,
        *,
        timeout_s: float | None = None,
        on_poll: Callable[[], None] | None = None,
        **more: object,
    ) -> dict[str, Any]:
        """Send a request and return its answer; raises `BridgeError` for any other outcome.

        A refused request does not end the program, silence does.
        """
        line = json.dumps({"request": request, **more}).encode()
        answer = self._talk.ask(line, timeout_s, on_poll)
        if isinstance(answer, child.Silence):
            raise SilentError(self._program, answer, self._talk.errors.decode(errors="replace"))
        return _read(self._program, answer)

    def end(self) -> None:
        """End the program and its children."""
        self._talk.end()


def _read(program: str, answer: bytes) -> dict[str, Any]:
    """Parse an answer; raises `BridgeError` for an error, another protocol or no answer."""
    try:
        said = untrusted.parse_json(answer)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        start = answer[:80].decode(errors="replace").strip()
        raise BridgeError("garbled", f"`{program}` gave an invalid answer: `{start}`")
    if said.get("protocol") != PROTOCOL:
        raise BridgeError(
            "other-protocol",
            f"`{program}` speaks protocol {said.get('protocol')}, cachedoctor {PROTOCOL}",
            hint="install both from one version",
        )
    error = said.get("error")
    if isinstance(error, dict):
        raise BridgeError(
            str(error.get("code")), str(error.get("message")), hint=str(error.get("hint") or "")
        )
    return said


def _cannot_run(program: str, error: OSError) -> BridgeError:
    return BridgeError("cannot-run", f"`{program}` cannot be run: {error.strerror}")


def _end(silence: child.Silence, errors: str) -> str:
    """Return how a program ended that gave no answer."""
    if silence.timed_out:
        return "gave no answer in time"
    if silence.signal is not None:
        name = str(silence.signal)
        with contextlib.suppress(ValueError):
            name = signal.Signals(silence.signal).name
        return f"was killed by {name}"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = lines[-1][:_LAST_WORDS] if lines else "it said nothing"
    return f"ended with exit code {silence.code}: {last}"
