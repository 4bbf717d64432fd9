"""Adapters to inference runtimes, all under the one contract of `base.Backend`."""
