"""Look and judge; nothing here changes anything.

`survey` brings together what lies in the places and who would load it, `named` recognises a path
that somebody gave; `claiming` puts what engines need into entries; `scanning` answers a question
with a `Report`, for which `judging` applies the rules. `contents` reads every byte and compares it
with its evidence, `hub_digests` asks the hub where nothing here says what a file must be, `core_ml`
asks Core ML through a `bridge`. `readiness` answers for an engine and a size, `footprint` counts
each byte once. `shares` divides a look among processes, `parts` makes one answer of theirs.
"""
