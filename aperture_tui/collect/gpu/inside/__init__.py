"""What runs in the program that is looked at: this folder is put on its PYTHONPATH.

It imports nothing of Aperture, for it lives in that program's environment, and has to run on every Python that
cupti-python is for (3.9 and later).
"""
