"""Images as bytes, in and out: the Docker archive, the OCI layout, base images, merging."""
