"""Open what somebody else wrote, changing nothing: not even an access time.

`untrusted` opens regular files only, with limits; `quietly` leaves access times alone; `mounts`
knows whose a file system is; `windows` reads the paths of a Windows home from elsewhere.
"""
