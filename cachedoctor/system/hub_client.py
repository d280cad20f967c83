"""Run `huggingface_hub` for `fetch`, as a program with its own process and environment.

Each line on standard input is one JSON object with a request: list a repository at a revision, or
list it and fetch the files at or below a path into a folder. The answer is one line with one JSON
object on standard output. The end of the input ends the program, even in a download.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import sys
import threading
from typing import Any

from cachedoctor.system import listed


def main() -> None:
    """Answer each request until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is not an answer
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        answer = _answered(json.loads(requests.get()))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _listen(requests: queue.SimpleQueue[str]) -> None:
    """Pass on each line; with the parent gone, end at once."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(1)


def _answered(request: dict[str, str]) -> dict[str, Any]:
    try:
        return _with_hub(request)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is an answer
        kinds = [kind.__name__ for kind in type(error).__mro__]
        cause = error.__cause__
        kinds += [kind.__name__ for kind in type(cause).__mro__] if cause else []
        response = getattr(error, "response", None)
        return {
            "error": kinds,
            "message": str(error).splitlines()[0] if str(error) else kinds[0],
            "status": getattr(response, "status_code", None),
            "errno": getattr(error, "errno", None),
        }


def _with_hub(request: dict[str, str]) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download

    info = _model_info(request["repository"], request["revision"])
    prefix = request.get("path", "")
    files = []
    for sibling in info.siblings or ():
        name = str(sibling.rfilename)
        if name.startswith(listed.CLIENTS_OWN):
            continue
        if name != prefix and not (name.startswith(prefix) and prefix[-1:] in ("", "/")):
            continue
        large = sibling.lfs
        files.append(
            {
                "path": name,
                "bytes": sibling.size,
                "algorithm": "sha256" if large else "git-sha1",
                "hex": large.sha256 if large else sibling.blob_id,
            }
        )
    if why := listed.wrong(info.sha, files):
        return {"error": ["ListingError"], "message": why}
    if "folder" in request:
        if not files:
            return {"error": ["EntryNotFoundError"], "message": prefix}
        for row in files:
            hf_hub_download(
                request["repository"],
                str(row["path"]),
                revision=info.sha,
                local_dir=request["folder"],
            )
    return {"commit": info.sha, "files": files}


@functools.cache
def _model_info(repository: str, revision: str) -> Any:
    """Return what the hub lists, asking once for all the files of a model."""
    from huggingface_hub import HfApi

    return HfApi().model_info(repository, revision=revision, files_metadata=True)


if __name__ == "__main__":
    main()
