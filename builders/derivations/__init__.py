"""What runs in a derivation's sandbox, a module for each kind; only these read the args file."""
