"""Gates: what an image must not be, and what in it could not run."""
