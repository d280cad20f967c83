"""What kind of file system a path is on, as reported by `statfs`.

Locks and open files of other machines are invisible on a network file system, and some of them
(Lustre, GPFS, many NFS mounts) grant a lock to everybody. So only file systems known to belong to
this machine count as local.

Source: Linux `include/uapi/linux/magic.h` and statfs(2); macOS `sys/mount.h`, `MNT_LOCAL`;
huggingface/huggingface_hub pull requests 4228 and 2399; anomalyco/opencode issue 14970 (SQLite).
"""

from __future__ import annotations

import os
import sys

_LOCAL = frozenset(
    (
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0x01021994,  # tmpfs
        0x858458F6,  # ramfs
        0x794C7630,  # overlayfs
        0x2FC12FC1,  # ZFS
        0xF2F52010,  # F2FS
        0xCA451A4E,  # bcachefs
        0x5346544E,  # NTFS
        0x7366746E,  # NTFS of Linux 5.15 and later
        0x2011BAB0,  # exFAT
        0x4D44,  # FAT
        0x482B,  # HFS+
        0x4244,  # HFS
        0x3153464A,  # JFS
        0x52654973,  # ReiserFS
        0x3434,  # NILFS
        0x73717368,  # squashfs
        0xE0F5E1E2,  # EROFS
        0x9660,  # ISO 9660
        0x15013346,  # UDF
        0xF15F,  # eCryptfs
        0x24051905,  # UBIFS
    )
)
_STATFS_BYTES = 4096  # larger than the structure on any system
_MNT_LOCAL = 0x1000  # macOS
_FLAGS_AT = 64  # offset of `f_flags` in macOS's structure with 64-bit inodes


def is_local(path: str) -> bool:
    """Return whether `path`, or its nearest existing parent, is on a disk of this machine.

    If that cannot be determined, it does not count as local.
    """
    import ctypes

    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    try:
        if ctypes.CDLL(None).statfs(os.fsencode(path), answer):
            return False
    except (AttributeError, OSError):
        return False
    if sys.platform == "darwin":
        flags = int.from_bytes(answer.raw[_FLAGS_AT : _FLAGS_AT + 4], sys.byteorder)
        return bool(flags & _MNT_LOCAL)
    kind = int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
    return kind & 0xFFFFFFFF in _LOCAL
