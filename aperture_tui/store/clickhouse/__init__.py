"""The aggregator's Store: ClickHouse, in the process (chDB) or as a server, through clickhouse-connect alone.

Knows profile, and what the other stores share. docs/fleet.md describes the tables.
"""
