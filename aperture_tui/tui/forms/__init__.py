"""The forms in which a call tree is shown: tree, callers, a table of functions, both sides of one function.

`model` says which, `pictures` (numpy, in the presenter's thread) makes them of the trees that the Store answers,
`table` and `crumbs` show what is no icicle, `keys` changes them.
"""
