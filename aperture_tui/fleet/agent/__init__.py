"""What each machine runs: intervals on disk until the aggregator has stored them. Knows nothing of the aggregator."""
