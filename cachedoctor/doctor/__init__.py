"""Look and judge; nothing here changes anything.

`survey` brings together what lies in the places and who would load it, `named` recognises a path
that somebody gave; `scanning` applies the rules and returns the `Report`. `contents` reads every
byte and compares it with its evidence, `hub_digests` asks the hub where nothing here says what a
file must be, `core_ml` asks Core ML through a `bridge`. `readiness` answers for an engine and a
size, `footprint` counts each byte once.
"""
