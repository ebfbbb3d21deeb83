"""What a study was made from, as a whole: its inputs, its manifest, and that in the forms that others read."""
