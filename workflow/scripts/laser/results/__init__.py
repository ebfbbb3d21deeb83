"""Reading a finished study's files."""
