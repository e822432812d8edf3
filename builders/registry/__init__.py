"""Images in registries: names, indexes, hashes, and skopeo, which fetches."""
