"""Choose what to change, changing nothing: a plan is a value, shown and asked about before it runs.

`cures` plans what cures findings, after what is left of fixes that are `unfinished`. `holdings`
lists every model with what a manager asks of it, `kept` says who needs it, `naming` finds what a
name means, `sieve` filters. `removal`, with a model's `belongings`, `pruning`, `budget`,
`duplicates` and `relocation` choose `changes`, each with its reason; `sources` proves that
something can be had again; `packs` and `packing` carry models elsewhere.
"""
