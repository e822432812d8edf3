"""The report of an image: one HTML page that needs nothing else."""
