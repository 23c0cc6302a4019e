"""The pages of merchants: the way in, stores, team, settings."""
