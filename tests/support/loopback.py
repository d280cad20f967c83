"""Real HTTP on the loopback interface: a model hub and a file host that fail when told to.

Faults are keyed by the end of a URL's path; if several ends match, the longest one counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import socket
import socketserver
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_CHUNK_BYTES = 1 << 16
_LFS_BYTES = 1 << 20  # anything larger is LFS, whatever its name
_LFS_NAMES = (".bin", ".safetensors")
_TICK_S = 0.02
_JOIN_S = 5.0
_API = re.compile(
    r"/api/models/(?P<repo>[^/]+(?:/[^/]+)??)"
    r"(?:/(?P<verb>revision|tree|paths-info)/(?P<revision>[^/]+)(?:/(?P<path>.+))?)?/?"
)
_RESOLVE = re.compile(
    r"/(?P<repo>[^/]+(?:/[^/]+)??)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Request(NamedTuple):
    """One request as it arrived; the path is decoded and without the query."""

    method: str
    path: str
    range: str


class Reply(NamedTuple):
    """A server's answer to a request, before the faults."""

    status: int
    headers: dict[str, str]
    body: bytes | Path
    ranges: bool = False  # whether parts can be requested


class Hold(threading.Event):
    """Set it to let the blocked answers continue; `reached` is set once an answer blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()


class _Cut:
    def __init__(self, after: int, times: int) -> None:
        self.after = after
        self.times = times


class _AbandonedError(ConnectionError):
    """The answer ends here, and so does the connection."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: Loopback) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self.open: dict[threading.Thread, socket.socket] = {}

    def server_bind(self) -> None:
        # without HTTPServer's look-up of the host's name, which can be slow
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that left; print any other error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.open[threading.current_thread()] = self.connection

    def finish(self) -> None:
        super().finish()
        self.server.open.pop(threading.current_thread(), None)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path = unquote(url.path)
        asked = self.headers.get("Range", "")
        owner = self.server.owner
        owner.requests.append(Request(self.command, path, asked))
        reply = owner.fault(path) or owner.respond(url.path, parse_qs(url.query), sent)
        source: IO[bytes]
        if isinstance(reply.body, Path):
            source, size = reply.body.open("rb"), reply.body.stat().st_size
        else:
            source, size = io.BytesIO(reply.body), len(reply.body)
        with source:
            self._send(reply, path, "" if owner.ignores_range(path) else asked, source, size)

    def _send(self, reply: Reply, path: str, asked: str, source: IO[bytes], size: int) -> None:
        status, start, end = reply.status, 0, size
        if reply.ranges and status == 200:
            part = _part(asked, size)
            if part is not None:
                start, end = part
                status = 206 if start < end else 416
        self.send_response(status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        if status == 416:
            self.send_header("Content-Range", f"bytes */{size}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.command != "HEAD":
            source.seek(start)
            try:
                self._send_body(path, source, start, end, size // 2)
            except ConnectionError:
                self.close_connection = True

    def _send_body(self, path: str, source: IO[bytes], start: int, end: int, middle: int) -> None:
        """Send the bytes from `start` up to `end`, with the faults that affect a body."""
        owner = self.server.owner
        hold = owner.held(path)
        cut = owner.cut_at(path, end - start)
        speed = owner.speed(path)
        flips = owner.corrupts(path)
        piece = _CHUNK_BYTES if speed is None else max(1, int(speed * _TICK_S))
        position = start
        while True:
            if cut is not None and position - start >= cut:
                raise _AbandonedError
            if hold is not None and position - start >= hold[0]:
                hold[1].reached.set()
                hold[1].wait()
                hold = None
            if owner.stopping.is_set():
                raise _AbandonedError
            if position >= end:
                return
            stops = [position + piece, end]
            if cut is not None:
                stops.append(start + cut)
            if hold is not None:
                stops.append(start + hold[0])
            data = bytearray(source.read(min(stops) - position))
            if not data:  # the file has become shorter meanwhile
                raise _AbandonedError
            if flips and position <= middle < position + len(data):
                data[middle - position] ^= 0xFF
            self.wfile.write(data)
            position += len(data)
            if speed is not None:
                owner.stopping.wait(len(data) / speed)


class Loopback:
    """A server on a free port of 127.0.0.1 while its `with` block runs."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._listener = _Listener(self)
        self.url = f"http://127.0.0.1:{self._listener.server_port}"
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(_TICK_S,), daemon=True
        )
        self._lock = threading.Lock()
        self._refusals: dict[str, Reply] = {}
        self._corrupt: dict[str, bool] = {}
        self._cuts: dict[str, _Cut] = {}
        self._holds: dict[str, tuple[int, Hold]] = {}
        self._whole: dict[str, bool] = {}
        self._speeds: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Release all held answers, and close every connection."""
        self.stopping.set()
        for _, hold in self._holds.values():
            hold.set()
        self._listener.shutdown()
        self._thread.join(_JOIN_S)
        self._listener.server_close()
        left = list(self._listener.open.items())
        for _, connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread, _ in left:
            thread.join(_JOIN_S)

    # the faults, as a test sets them

    def fail(self, suffix: str, status: int, body: bytes = b"") -> None:
        """Answer every request with this status."""
        self._refusals[suffix] = Reply(status, {"Content-Type": "text/plain"}, body)

    def page(self, suffix: str, html: str) -> None:
        """Answer every request with a page and status 200, as a captive portal does."""
        headers = {"Content-Type": "text/html; charset=utf-8"}
        self._refusals[suffix] = Reply(200, headers, html.encode())

    def corrupt(self, suffix: str) -> None:
        """Flip the byte in the middle of the content, in whatever part of it is requested."""
        self._corrupt[suffix] = True

    def cut(self, suffix: str, after_bytes: int, times: int = 1) -> None:
        """Close the connection after so many bytes of an answer, the first `times` times."""
        self._cuts[suffix] = _Cut(after_bytes, times)

    def hold(self, suffix: str, after_bytes: int) -> Hold:
        """Stop after so many bytes of every answer until the returned event is set."""
        hold = Hold()
        self._holds[suffix] = (after_bytes, hold)
        return hold

    def ignore_range(self, suffix: str) -> None:
        """Answer with the whole content when a part is requested."""
        self._whole[suffix] = True

    def slow(self, suffix: str, bytes_per_second: float) -> None:
        """Send no faster than this."""
        self._speeds[suffix] = bytes_per_second

    def heal(self) -> None:
        """Forget all faults, and release all held answers."""
        for _, hold in self._holds.values():
            hold.set()
        for faults in (
            self._refusals,
            self._corrupt,
            self._cuts,
            self._holds,
            self._whole,
            self._speeds,
        ):
            faults.clear()

    # the faults, as an answer sees them

    def fault(self, path: str) -> Reply | None:
        """Return what to answer instead of the truth."""
        return _longest(self._refusals, path)

    def held(self, path: str) -> tuple[int, Hold] | None:
        """Return after how many bytes to wait, and for which event."""
        return _longest(self._holds, path)

    def cut_at(self, path: str, length: int) -> int | None:
        """Return after how many of `length` bytes to end this answer, and count it."""
        with self._lock:
            cut = _longest(self._cuts, path)
            if cut is None or cut.times <= 0 or cut.after >= length:
                return None
            cut.times -= 1
            return cut.after

    def speed(self, path: str) -> float | None:
        """Return the bytes per second."""
        return _longest(self._speeds, path)

    def corrupts(self, path: str) -> bool:
        """Return whether the content is damaged on its way."""
        return _longest(self._corrupt, path) is not None

    def ignores_range(self, path: str) -> bool:
        """Return whether parts are refused."""
        return _longest(self._whole, path) is not None

    def respond(self, path: str, query: dict[str, list[str]], sent: bytes) -> Reply:
        """Return the answer for a URL's path as it was sent, its query and the sent body."""
        raise NotImplementedError


class Cdn(Loopback):
    """A host of plain files."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, bytes | Path] = {}

    def add(self, path: str, content: bytes | Path) -> str:
        """Serve a file at a path; return its URL."""
        path = "/" + path.lstrip("/")
        self._files[path] = content
        return self.url + path

    def respond(self, path: str, query: dict[str, list[str]], sent: bytes) -> Reply:
        """Return the file."""
        content = self._files.get(unquote(path))
        if content is None:
            return Reply(404, {"Content-Type": "text/plain"}, b"not found")
        return Reply(200, {"Content-Type": "application/octet-stream"}, content, ranges=True)


class _Entry(NamedTuple):
    """One file of a repository at a commit."""

    content: bytes | Path
    size: int
    oid: str  # git's name of the blob; of the pointer, for LFS
    sha256: str  # empty unless LFS

    @property
    def pointer_size(self) -> int:
        return len(_pointer(self.sha256, self.size))


class Hub(Loopback):
    """A model hub that the real client can list and download from."""

    def __init__(self) -> None:
        super().__init__()
        self._commits: dict[str, dict[str, dict[str, _Entry]]] = {}  # repository, commit, path
        self._main: dict[str, str] = {}

    def add(
        self, repo_id: str, files: Mapping[str, bytes | Path], *, commit: str | None = None
    ) -> str:
        """Make these files the repository's `main`; older commits stay. Return the commit."""
        entries = {path: _entry(path, files[path]) for path in sorted(files)}
        if commit is None:
            listed = "".join(f"{entry.oid} {path}\n" for path, entry in entries.items())
            commit = hashlib.sha1(f"{repo_id}\n{listed}".encode()).hexdigest()
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise ValueError(f"not a commit: {commit}")
        self._commits.setdefault(repo_id, {})[commit] = entries
        self._main[repo_id] = commit
        return commit

    def etag(self, repo_id: str, path: str, commit: str | None = None) -> str:
        """Return the name that a file's content has in the client's cache."""
        entry = self._commits[repo_id][commit or self._main[repo_id]][path]
        return entry.sha256 or entry.oid

    def respond(self, path: str, query: dict[str, list[str]], sent: bytes) -> Reply:
        """Route as the real hub does."""
        match = _API.fullmatch(path)
        verb = (match["verb"] or "revision") if match else "resolve"
        match = match or _RESOLVE.fullmatch(path)
        if match is None:
            return _refuse(404, "", "Sorry, we can't find the page you are looking for.")
        repo, revision, below = (
            unquote(match[name] or "") for name in match.re.groupindex if name != "verb"
        )
        if repo not in self._commits:
            return _refuse(401, "RepoNotFound", "Invalid username or password.")
        commit = self._main[repo] if revision in {"", "main"} else revision
        entries = self._commits[repo].get(commit)
        if entries is None:
            return _refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if verb == "resolve":
            return _resolve(commit, entries, below)
        if verb == "tree":
            return _tree(commit, entries, below.strip("/"), query)
        if verb == "paths-info":
            return _paths_info(commit, entries, parse_qs(sent.decode()))
        return _info(repo, commit, entries, blobs=_yes(query, "blobs"))


def _resolve(commit: str, entries: dict[str, _Entry], path: str) -> Reply:
    """Serve a file of a commit."""
    entry = entries.get(path)
    if entry is None:
        return _refuse(404, "EntryNotFound", "Entry not found", commit)
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Repo-Commit": commit,
        "ETag": f'"{entry.sha256 or entry.oid}"',
    }
    if entry.sha256:
        headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    return Reply(200, headers, entry.content, ranges=True)


def _info(repo: str, commit: str, entries: dict[str, _Entry], *, blobs: bool) -> Reply:
    """Describe a repository at a commit."""
    siblings: list[dict[str, object]] = []
    for path, entry in entries.items():
        sibling: dict[str, object] = {"rfilename": path}
        if blobs:
            sibling |= {"size": entry.size, "blobId": entry.oid}
            if entry.sha256:
                sibling["lfs"] = {
                    "sha256": entry.sha256,
                    "size": entry.size,
                    "pointerSize": entry.pointer_size,
                }
        siblings.append(sibling)
    return _json(
        {
            "_id": commit[:24],
            "id": repo,
            "modelId": repo,
            "author": repo.rpartition("/")[0],
            "sha": commit,
            "lastModified": "2024-01-01T00:00:00.000Z",
            "private": False,
            "disabled": False,
            "gated": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": siblings,
        }
    )


def _tree(
    commit: str, entries: dict[str, _Entry], below: str, query: dict[str, list[str]]
) -> Reply:
    """List a folder."""
    if below and below not in _folders(entries):
        return _refuse(404, "EntryNotFound", f"{below} does not exist on this revision", commit)
    root = f"{below}/" if below else ""
    names = [name for name in (*_folders(entries), *entries) if name.startswith(root)]
    if not _yes(query, "recursive"):
        names = [name for name in names if "/" not in name.removeprefix(root)]
    expand = _yes(query, "expand")
    return _json([_item(commit, entries, name, expand=expand) for name in sorted(names)])


def _paths_info(commit: str, entries: dict[str, _Entry], form: dict[str, list[str]]) -> Reply:
    """Describe those of the requested paths that exist."""
    known = {*entries, *_folders(entries)}
    names = [name for name in form.get("paths", []) if name in known]
    expand = _yes(form, "expand")
    return _json([_item(commit, entries, name, expand=expand) for name in names])


def _item(commit: str, entries: dict[str, _Entry], path: str, *, expand: bool) -> dict[str, object]:
    """Describe one file or folder of a listing."""
    entry = entries.get(path)
    item: dict[str, object]
    if entry is None:
        oid = hashlib.sha1(f"{commit} {path}".encode()).hexdigest()
        item = {"type": "directory", "oid": oid, "size": 0, "path": path}
    else:
        item = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.sha256:
            item["lfs"] = {
                "oid": entry.sha256,
                "size": entry.size,
                "pointerSize": entry.pointer_size,
            }
    if expand:
        date = "2024-01-01T00:00:00.000Z"
        item["lastCommit"] = {"id": commit, "title": "Upload", "date": date}
    return item


def _folders(entries: dict[str, _Entry]) -> set[str]:
    """Return all folders that the files are in."""
    return {path[: match.start()] for path in entries for match in re.finditer("/", path)}


def _entry(path: str, content: bytes | Path) -> _Entry:
    """Hash a file as git or as LFS does."""
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    if path.endswith(_LFS_NAMES) or size > _LFS_BYTES:
        sha256 = _sha256(content)
        return _Entry(content, size, _blob(_pointer(sha256, size)), sha256)
    data = content.read_bytes() if isinstance(content, Path) else content
    return _Entry(content, size, _blob(data), "")


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _pointer(sha256: str, size: int) -> bytes:
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, Path):
        stat = content.stat()
        return _file_sha256(content.resolve(), stat.st_size, stat.st_mtime_ns)
    return hashlib.sha256(content).hexdigest()


@cache
def _file_sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(value: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


def _refuse(status: int, code: str, message: str, commit: str = "") -> Reply:
    headers = {"Content-Type": "application/json", "X-Error-Message": message}
    if code:
        headers["X-Error-Code"] = code
    if commit:
        headers["X-Repo-Commit"] = commit
    return Reply(status, headers, json.dumps({"error": message}).encode())


def _yes(query: dict[str, list[str]], name: str) -> bool:
    return query.get(name, [""])[-1].lower() in {"1", "true"}


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """Return where a requested part starts and ends; an empty one cannot be served, None is all."""
    match = _RANGE.fullmatch(asked.strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if int(first) >= size:
        return 0, 0
    end = min(size, int(last) + 1) if last else size
    return (int(first), end) if int(first) < end else None


def _longest(faults: dict[str, T], path: str) -> T | None:
    """Return the fault set for the longest matching end of the path."""
    ends = [suffix for suffix in list(faults) if path.endswith(suffix)]
    return faults.get(max(ends, key=len)) if ends else None
