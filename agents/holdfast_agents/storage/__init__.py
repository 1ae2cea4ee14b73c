"""The storage agent: the storage actions over a backend."""
