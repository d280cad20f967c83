"""Open foreign files without changing anything, not even an access time.

`untrusted` opens regular files only, with limits; `quietly` preserves access times; `mounts` tells
local file systems from remote ones; `windows` resolves the paths of a Windows home from elsewhere.
"""
