"""One message, many providers, no framework: numbers, segments, templates, pacing, providers.

This floor is pure Python. It imports neither Django nor a database, and only `transports` does I/O.
"""
