"""Answers of a Store in the formats that other tools read, one exporter a file. Knows profile and store."""
