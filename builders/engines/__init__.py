"""Engines beside this process, spoken to by their own clients: Docker, podman, containerd."""
