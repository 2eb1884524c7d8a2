"""Several processes as one service: the supervisor, its workers, and what they say to each other."""
