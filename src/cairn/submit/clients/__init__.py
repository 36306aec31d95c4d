"""Programs that run beside Cairn, in an environment that has the client package: a request in, events out.

Standard library and the public package only, Python 3.9 or newer; they import nothing of ours but one another.
"""
