"""The screens: which widgets stand where, and what of a snapshot each of them is given."""
