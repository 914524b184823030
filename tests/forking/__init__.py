"""Starts of Umbra's commands as forks of a process that has imported them already.

`process.start` is what tests call, `server` the program behind it.
"""
