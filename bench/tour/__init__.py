"""The pictures of docs/tour.md, taken anew: `make tour-pictures`, by hand, as root.

A workload of known behaviour (`shop.py`), the screens over the real collectors, and the keys that lead to each picture.
It is here, with what else runs the finished program over work that is made for it; no part of a package, and no test.
"""
