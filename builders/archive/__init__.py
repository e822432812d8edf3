"""Image archives: what their members are, and which images they name."""
