"""The timeline at the top: how many events there were in each stretch of time, and which of it is looked at.

`model` and `grid` say what is wanted and where it lies, `columns` and `answer` ask the store for it in the presenter's
thread, `render` draws it, `widget` takes keys and the mouse.
"""
