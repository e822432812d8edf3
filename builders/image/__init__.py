"""Docker and OCI images: archives, configurations, plans, streams."""
