"""Inputs that nobody thought of, for every reader of what others wrote."""
