"""The version, as a literal: reading it from the installed metadata would cost 20 ms."""

VERSION = "0.2.0"
