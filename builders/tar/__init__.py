"""Tar streams, written by hand: the bytes of every layer."""
