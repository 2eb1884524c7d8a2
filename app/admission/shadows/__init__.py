"""Shadows: models that also see what others answer, in moments in which the process has nothing else to do."""
