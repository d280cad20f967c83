"""The reference of `docs/`, made of the code; no part of the wheel."""
