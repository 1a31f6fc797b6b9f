"""The panels that a user sees, one file each."""
