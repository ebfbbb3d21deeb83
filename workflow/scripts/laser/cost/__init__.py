"""What a study costs: shapes and work of its jobs, for job requests and for the reader."""
