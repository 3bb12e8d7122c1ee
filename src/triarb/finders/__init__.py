"""Finders: from rates to nominated cycles."""
