"""The reference in `docs/`, generated from the code; not part of the wheel."""
