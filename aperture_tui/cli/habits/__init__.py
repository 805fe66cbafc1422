"""What a person sets up once: the settings (`table.py`), their files (`files.py`), what holds in the end (`chosen.py`).

For the screens of `aperture-top` alone. A report, a recording and every other command is what its command line says.
"""
