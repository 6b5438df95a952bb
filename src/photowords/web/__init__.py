"""The page: photowords in a browser, on this machine. Nothing in its process loads a model.

``app`` answers requests, behind ``guard``. ``queue`` starts the learning, each run a process of its own; ``worker``
asks another process, ``work``, for all that needs a model at once. What is shown is read from the runs' folders.
"""
