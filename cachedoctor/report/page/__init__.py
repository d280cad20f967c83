"""One HTML page for people: what is here, what is wrong, what takes up space, how fast it is.

`documents` reads saved JSON, and a look made now, the same way; `readings` makes values of it;
`machines` groups the documents of one machine; `gathered` decides what the page says, with `wrong`,
`compared`, `changed` and `measured` for its parts; `charts` and `areas` lay out the drawings;
`render` writes it.
"""
