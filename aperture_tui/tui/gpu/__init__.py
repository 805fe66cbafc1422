"""What GPUs did, on the screen: lanes in time, kernels, copies, idle gaps, gauges.

Pure functions from a store's events to what is shown (`lanes`, `idle`, `answer`: numpy, in the presenter's thread), and
from that to rows (the other modules, free of numpy).
"""
