"""The cases, a file for each theme; `holdfast_backends.testing.suite` gathers them."""
