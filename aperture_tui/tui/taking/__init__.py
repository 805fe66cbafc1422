"""Taking away what is on the screen: exports of it into files, pictures, and text for the terminal's clipboard.

Knows what is looked at, the exporters and the store that they ask; draws one panel, and touches no other widget.
"""
