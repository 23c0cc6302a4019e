"""Measurements, each with its floor in the same run: ``script/bench NAME``.

One module a benchmark: its docstring says what is measured, ``run(options)`` measures it, and ``arguments(parser)``, where
there is one, adds options of its own. ``frame`` holds what they share.
"""
