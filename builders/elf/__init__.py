"""What an executable says about itself."""
