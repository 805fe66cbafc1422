"""The same screens in a browser: pages of this process over one store, behind a token.

Knows who may come in, how a page is run and what of it a browser is sent. It is given the store and what pages say they
need; it never reaches collectors.
"""
