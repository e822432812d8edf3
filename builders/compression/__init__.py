"""Compressed streams, told apart by their first bytes."""
