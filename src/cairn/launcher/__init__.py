"""Runs beside the user's command: standard library only, Python 3.8 or newer, imports nothing else of ours.

`launcher_main.py` is started by the engine's executor as a script in the step's own interpreter. It becomes a *warm
parent*, which forks *supervisors*; a supervisor is the waiter of one attempt at a time and forks the *step* itself.
"""
