"""Programs of the user that decide which events are kept: WebAssembly in a sandbox, a batch at a time.

Gives the chain that a batch goes through between collectors and sinks (`opening.open_chain`), its counters and the
health of each filter. docs/filters.md has the contract with the programs; `abi` has its numbers. Must not touch
collectors, stores or screens, and imports wasmtime (the extra `filters`) only when there is a filter.
"""
