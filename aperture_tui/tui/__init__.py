"""The screens: live, on a recording and on a fleet, out of any Store.

Knows profile, store and export, never a collector. Each widget is a thin shell over a pure renderer (data and size
to rows of spans); numpy is imported by the presenter's thread alone, after the first paint.
"""
