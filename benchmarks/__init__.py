"""The benchmarks: what Holdfast does per second, beside what others do on the same machine.

Run them with `make bench`; `python -m benchmarks --help` says more.
"""
