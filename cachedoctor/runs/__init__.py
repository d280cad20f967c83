"""Carry a plan out and take it back.

`applying` is the whole of it: interrupted runs first, then the plan, then a second look. `staging`
brings everything into the run folder and proves it there, `operating` takes one run's steps,
`quarantine` lists and empties what was set aside, `adoption` takes back a run whose journal was
named.
"""
