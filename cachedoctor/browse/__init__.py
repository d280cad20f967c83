"""A full-screen view, with keys, of what `list`, `scan` and the manager's commands say and do.

Nothing here decides anything: `proposals` and `repairing` make the same plans as the commands, and
carry them out the same way. `guard` checks for a terminal and restores it whatever happens;
`looking` and `rows` turn a look into lines of tables, `details` into a page about one of them;
`jobs` keeps long work off the screen's thread; `commands` says which key does what. The rest draws,
with textual: `app`, `main_screen`, `table`, `plan_screen`, `forms`, `pages`.
"""
