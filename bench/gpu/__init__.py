"""What only a machine with a GPU can show: `python -m bench.gpu`. It needs torch and cupti-python, and no network."""
