"""The pure core: decisions as functions of their arguments.

Nothing here does I/O, reads a clock or draws a random number: `now` and randomness are arguments. Imports are
the standard library, `mainspring.server.errors`, and (in `cron_fields` alone) croniter's parser. The one thing
read from outside is the time zone database, which is data of the installed `tzdata` package (`time_zone`).
"""
