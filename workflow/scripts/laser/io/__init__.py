"""Files, written atomically and read back with the settings that they were made with."""
