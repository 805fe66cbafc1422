"""Symbols, events and words as bytes: the same in a recording and in what goes over the wire. Pure.

The ways back trust nothing: what they read comes from strangers.
"""
