"""Whole cycles in an exchange's own sandbox, for whoever has its keys, and a transcript of them; no part of the package."""
