"""The Store that an aggregator answers for, over gRPC: the connection, what is known of it, and the answers."""
