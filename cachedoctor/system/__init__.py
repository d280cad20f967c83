"""What touches the machine: the disk, other processes, the network.

`disk` is the only module that changes a cache; `ground` reaches folders by descriptor for it and
`transfer` copies bytes, `own` keeps our own files. A `run` takes steps, each one of `moves`, and
writes them into its `journal`; `logbook` and `confinement` compare what a journal says with what it
may; `undoing` takes a run back. `in_use` knows who holds a file, `synced` which folders a service
copies elsewhere. `digest` reads bytes and `ledger` remembers what they came to. `child` runs a
program to its end. Only `fetch`, `hub_client` and `cdn` talk to the network, `listed` checks what a
hub says, `network` says what a fetch may use. `installed` names what is beside an interpreter.
"""
