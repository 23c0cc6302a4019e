"""What benchmarks share: the command, a database of their own, processes, the result."""
