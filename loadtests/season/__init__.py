"""A simulated season: honest players, cheaters, and what a board's rules make of them: `python -m loadtests.season`.

`game` is how well somebody plays, `habits` when, `honest` makes players and their plays of both; `cheats` is what
cheaters do; `limits` and `newcomers` choose the rules, `holds` says how long something stays held; `service` is the
service in this process with a clock of the simulation; `play` runs a season through it, `reviewer` decides on what is
held, `report` counts. Everything but the service's own ids and keys follows from the seed.

How limits are chosen
---------------------
As a game team would: from facts of the game, and from players it trusts, never from cheaters. `limits.choose_limits`
sees a *calibration sample*: honest players of the same game in another season, none of whom plays in the measured one.

* `max_score`, `min_score`: the most and the least that the game can give; known from its code.
* `rate.per_s`: one play in the shortest time that one takes; known from its code. `rate.burst`: so many at
  once that one submission of the sample in 10,000 (`limits.REJECTS`) would wait; a client that was offline sends what
  it has all together.
* `max_gain`, `max_gain_per_hour`: what holds three submissions in 10,000 (`limits.HOLDS`), rounded up to two digits.
* `min_interval_s`: the whole seconds that one submission in 10,000 comes sooner than; left out below one second.
* `min_submissions_before_top`: on the first page, or the best fortieth of the players where that is less; the most
  submissions with which it holds no more than three in 10,000 of the sample's own, in standings of the sample.

What is held counts when an admin has approved it, once a day; the sample is tried with that, for what follows a held
submission is often held as well. Together the limits may touch one honest submission in a thousand, and those that
reject fewer than those that hold.

Cheaters know none of it: `cheats` imports the game, not the limits.
"""
