"""The desk from which people and tests steer the simulator; for loopback clients only."""
