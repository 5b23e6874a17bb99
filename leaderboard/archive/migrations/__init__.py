"""How the archive's tables came to be as they are, one step a file, in `versions/`.

A step says in full what it does and never imports `leaderboard.archive.tables`: that is how things stand today. There
is no way back: an older version of the service refuses an archive that is newer than it knows.
"""
