"""The screens. Each widget is a thin shell over a pure renderer. Knows profile, store and export, never a collector."""
