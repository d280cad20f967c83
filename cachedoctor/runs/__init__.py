"""Carry a plan out and take it back.

`applying` does it all: interrupted runs first, then the plan, then a second look. `staging` brings
everything into the run folder and proves it there, `operating` takes the steps of one run,
`quarantine` lists and deletes what was set aside, `adoption` takes back a run from a named journal.
"""
