"""Layers as bytes: of store paths, of a tree, of a tar with a closure behind it."""
