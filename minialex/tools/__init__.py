"""What a user types: the command line and its pictures."""
