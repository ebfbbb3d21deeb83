"""What a study as a whole was made from: its inputs, its manifest, and the same in standard formats."""
