"""Whether stacks are true: programs whose stacks are known by construction, and perf beside them.

`known` says which programs there are and what their stacks must be, `programs` builds them, `watching` runs them under
a Session and perf at once, `stacks` compares. Where time goes off the CPU is known to the programs themselves: `told`
runs those of tests/programs, which print it, and asks a Session for the same. Nothing
here imports what it tests, but the Session, the kinds, the stores, and what demangles the names that perf tells.
"""
