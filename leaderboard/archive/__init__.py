"""The archive: what the journal said, in SQL, from which a lost store is rebuilt."""
