"""Use cases, one a file, named as the command is: the place where computing meets storing."""
