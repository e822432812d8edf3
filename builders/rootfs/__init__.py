"""Root file systems: trees of links, fake root, namespaces."""
