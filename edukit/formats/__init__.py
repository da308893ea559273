"""Codecs: a file of some kind <-> tables of :mod:`edukit.schema`. They read and write; they decide nothing.

Each module has ``read(path) -> tables`` (a dictionary of table name to frame), and ``write`` where a format goes out as well.
"""
