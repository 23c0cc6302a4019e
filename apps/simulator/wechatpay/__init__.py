"""The simulated server of WeChat Pay, API v3, direct merchant."""
