"""The parts of the screens. One widget a file: a pure renderer from data and size to rows of spans, a thin shell."""
