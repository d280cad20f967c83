"""Run `huggingface_hub` for `fetch`, as a program with its own process and environment.

Standard input holds one JSON object with the request: list a repository at a revision, or list it
and fetch the files at or below a path into a folder. The answer is one JSON object on standard
output.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from cachedoctor.system import listed


def main() -> None:
    """Read a request from standard input, carry it out, and answer with one JSON object."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        answer = _with_hub(request)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is an answer
        kinds = [kind.__name__ for kind in type(error).__mro__]
        cause = error.__cause__
        kinds += [kind.__name__ for kind in type(cause).__mro__] if cause else []
        response = getattr(error, "response", None)
        answer = {
            "error": kinds,
            "message": str(error).splitlines()[0] if str(error) else kinds[0],
            "status": getattr(response, "status_code", None),
            "errno": getattr(error, "errno", None),
        }
    sys.stdout.write(json.dumps(answer))


def _die_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _with_hub(request: dict[str, str]) -> dict[str, Any]:
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(
        request["repository"], revision=request["revision"], files_metadata=True
    )
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


if __name__ == "__main__":
    main()
