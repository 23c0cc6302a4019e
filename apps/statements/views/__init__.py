"""Pages of this room: what bills there are, their files, and how console exports are read."""
