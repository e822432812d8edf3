"""The closure graph of store paths and how it is cut into layers."""
