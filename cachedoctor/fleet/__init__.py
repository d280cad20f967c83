"""Many machines, and caches too large for one: on engines that exist, none of it scheduled here.

Many machines: one command on each, one answer of all; Ansible does what belongs to a machine.

- `line`: what is sent to a machine, and what of its answer is ours
- `carrier`: the same lines to all machines at once; `keeper` is its child, which runs Ansible
- `asking`: a command on all machines, the two together
- `judging`: an answer → the one state that a machine is in
- `wording`: the states → text, JSON, CI
- `repairing`: the plans of all machines, applied after one question, and taken back
- `handing`: what one machine has and others lack, as packs; `parcel` is such a pack as one file
- `single_file`: this program as one file, for machines without it

One cache: `cluster` looks at it with the workers of a Dask cluster that runs already.

Nothing of Ansible is imported here but by the child, and of it only ansible-runner: Ansible itself
is a program that the child starts.
"""

from __future__ import annotations
