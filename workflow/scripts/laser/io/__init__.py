"""Files: written atomically, read back with the settings they were made from."""
