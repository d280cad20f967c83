"""Everything that touches the machine: the disk, other processes, the network.

`disk` is the only module that changes a cache; for it, `ground` opens folders by descriptor and
`transfer` copies bytes. `own` keeps our own files. A `run` takes steps, each one of `moves`, and
writes them to its `journal`; `logbook` and `confinement` check what a journal says against what it
may do; `undoing` takes a run back. `in_use` finds who holds a file, `synced` which folders a sync
service copies. `digest` hashes files and `ledger` remembers the results. `child` runs a program to
its end. Only `fetch`, `hub_client` and `cdn` use the network: `listed` checks what a hub lists,
`network` says what a fetch may use. `installed` finds packages installed beside an interpreter.
"""
