"""GPUs: their gauges by the vendor's library, kernels and copies out of the processes that launch them, and launches
seen from outside by probes. Knows profile and the collectors' common parts; nothing of it is imported without need.
"""
