"""Many machines, and caches too large for one: on existing schedulers, with none of our own.

Many machines: one command on each, one answer for all; Ansible handles the machines.

- `line`: what is sent to a machine, and which part of its output is our answer
- `carrier`: the same lines to all machines at once; `keeper` is its child, which runs Ansible
- `asking`: a command on all machines, using the two
- `judging`: an answer → the one state of a machine
- `wording`: the states → text, JSON, CI
- `repairing`: the plans of all machines, applied after one question, and taken back
- `handing`: what one machine has and others lack, as packs; `parcel` is such a pack as one file
- `single_file`: this program as one file, for machines without it

One cache: `cluster` looks at it with the workers of a Dask cluster that is already running.

Only the child imports anything of Ansible, and only ansible-runner: Ansible itself is a program
that the child starts.
"""

from __future__ import annotations
