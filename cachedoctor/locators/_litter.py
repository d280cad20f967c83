"""What systems, servers and editors leave everywhere: never a branch, blob, manifest or model.

Sources: Apple's Finder, Spotlight and AppleDouble (RFC 1740); Windows Explorer; Synology's, QNAP's
and NetApp's servers; NFS clients (`.nfs…`), FUSE (`.fuse_hidden…`), Samba (`.smbdelete…`); Vim,
Emacs, Kate and LibreOffice; Dropbox, Syncthing, Nextcloud, Google Drive; `git check-ref-format`.
"""

from __future__ import annotations

import re
from functools import lru_cache

_NAMES = frozenset(
    (
        ".ds_store",
        ".localized",
        ".apdisk",
        ".appledb",
        ".appledesktop",
        ".appledouble",
        ".documentrevisions-v100",
        ".fseventsd",
        ".metadata_never_index",
        ".spotlight-v100",
        ".temporaryitems",
        ".trashes",
        ".volumeicon.icns",
        "__macosx",
        "icon\r",
        "icon\uf00d",  # the same, as non-Apple servers store it
        "$recycle.bin",
        "desktop.ini",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "system volume information",
        "thumbs.db",
        ".directory",
        ".hidden",
        "lost+found",
        "#recycle",
        "#snapshot",
        ".@__thumb",
        ".snapshot",
        ".snapshots",
        ".zfs",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@sharebin",
        "@tmp",
        "~snapshot",
        ".dropbox",
        ".dropbox.attr",
        ".dropbox.cache",
        ".owncloudsync.log",
        ".stfolder",
        ".stignore",
        ".stversions",
        ".tmp.drivedownload",
        ".tmp.driveupload",
    )
)
_PATTERN = re.compile(
    r"\._.*"  # AppleDouble
    r"|\.trash-\d+|\.nfs[0-9a-f]{8,}|\.fuse_hidden[0-9a-f]+|\.smbdelete.*|\.__afs[0-9a-f]+"
    r"|\.com\.apple\.timemachine\..*"
    r"|.*~|\.#.*|#.*#|\.~lock\..*#|\.goutputstream-.*"
    r"|\..*\.(?:sw[a-z]|kate-swp|un~)|.*\.sw[op]"
    r"|\.syncthing\..*\.tmp|~syncthing~.*\.tmp|\.sync_[0-9a-f]+\.db.*|\._sync_.*",
    re.DOTALL,
)
_NO_REF = re.compile(r"[\0-\x20\x7f~^:?*\[\\]|\.\.|@\{|\.lock(?:/|$)|(?:^|/)\.|//|[./]$|^/|^@$")
_EVICTED = re.compile(r"\.(.+)\.icloud")


@lru_cache(maxsize=4096)  # the same few names recur in every folder of a cache
def is_litter(name: str) -> bool:
    """Return whether a file or folder with this name is litter, wherever it is."""
    folded = name.lower()
    return folded in _NAMES or _PATTERN.fullmatch(folded) is not None


def is_ref(name: str) -> bool:
    """Return whether git accepts `name` as a branch and it is not litter."""
    return not _NO_REF.search(name) and not any(map(is_litter, name.split("/")))


def evicted(name: str) -> str:
    """Return the file that a placeholder of macOS 13 or earlier replaces, or an empty string."""
    found = _EVICTED.fullmatch(name)
    return found[1] if found else ""
