"""What a study costs: shapes and work of its jobs, for resource requests and for the reader."""
