"""Pages of this room, and the door through which the platforms deliver."""
