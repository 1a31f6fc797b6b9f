"""The button that copies the address of what is shown."""
