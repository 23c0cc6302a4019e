"""The parts of ``chaos``: the processes, what goes wrong with them, the work, and the comparison of the books."""
