"""Choose what to change, without changing it: a plan is a value, shown and asked about first.

`cures` plans the repairs of findings, after what is left of `unfinished` fixes, where there is
`permission` to write; `readying` plans what makes one model ready. `holdings` lists every model
with what a manager needs to know, `kept` says who needs it, `naming` resolves names, `sieve`
filters. `removal`, with a model's `belongings`, `pruning`, `budget`, `duplicates` and `relocation`
choose `changes`, each with its reason; `sources` proves that something can be fetched again;
`packs` and `packing` carry models to other machines.
"""
