"""One page of HTML for people: what is here, what is wrong, what takes the room, how fast it is.

`documents` takes saved JSON in, and a look of this moment by the same door; `readings` makes values
of it; `machines` puts those of one machine together; `gathered` says what the page says, with
`wrong`, `compared`, `changed` and `measured` for its parts; `charts` and `areas` lay out what is
drawn; `render` writes it.
"""
