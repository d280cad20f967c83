"""Look and judge; nothing here changes anything.

`survey` lists the roots and who would load each entry, `named` recognises a path given by the
user; `claiming` adds the engines' requirements to entries; `scanning` answers a question with a
`Report`, for which `judging` applies the rules. `reading` reads every byte and `contents` compares
it with its evidence, `hub_digests` asks the hub about files without local evidence, `core_ml` asks
Core ML through a `bridge`. `readiness` answers for an engine and a size, `footprint` counts each
byte once. `traces` finds what our own fixes left. `shares` divides a look among processes, `parts`
merges their results into one answer.
"""
