"""Real modules in the real engine, written as text: no toolchain, no mocks."""
