"""A screen with keys for what `list`, `scan` and the manager's commands say and do.

Nothing here decides anything: `proposals` and `repairing` make the plans that the commands make,
and carry them out the same way. `guard` looks whether there is a terminal and makes it whole again
whatever happens; `looking` and `rows` turn a look into lines of tables, `details` into a page about
one of them; `jobs` keeps long work off the screen's thread; `commands` says which key does what.
The rest draws, with textual: `app`, `main_screen`, `table`, `plan_screen`, `forms`, `pages`.
"""
