"""Longshore's builders: one script per kind of derivation, over a library that knows no Nix."""
