"""Mistakes that the tests must find: each is made in a copy of the package, and some test must fail."""
