"""Fault scripts: as data, in memory, and the same on the wire with real ccxt."""
