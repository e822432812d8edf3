"""What a user sees on the terminal: errors, warnings, progress."""
