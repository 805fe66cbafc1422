"""The icicle: a call tree from the root downwards, each frame as wide as its weight.

`layout` (numpy, in the presenter's thread) finds the visible boxes, `render` turns rows of boxes into spans,
`navigate` walks them, `widget` shows them and takes keys and the mouse.
"""
