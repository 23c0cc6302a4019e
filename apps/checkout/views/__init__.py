"""The payer's pages: behind a scanned code, and of one order."""
