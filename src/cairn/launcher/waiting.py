"""Files in an attempt's directory by which its waiter and engines that come later understand each other."""

LOCK_NAME = "waiter.lock"  # held with flock by the waiter; says who it is
EXIT_NAME = "exit.json"  # there once the attempt is over
ABANDONED_NAME = "abandoned"  # no waiter may begin any more
CONTAINER_NAME = "container.json"  # which containers the attempt has, in which engine
