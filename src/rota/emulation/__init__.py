"""A GPU with no GPU: real processes, a real rwlock gate, a shared engine, finite memory."""
