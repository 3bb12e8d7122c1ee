"""Gateways: the ways to an exchange, real, simulated and replayed."""
