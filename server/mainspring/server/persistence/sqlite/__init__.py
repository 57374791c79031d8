"""The store on one SQLite file, or in memory: for `mainspring dev`, tests and simulations. One process serves a file.

`database` the connection, and how a unit of work runs · `checkpoints` the thread that keeps the write-ahead log short ·
`file_lock` one process a file · `schema`, `migrations` what start makes by itself · `driver_errors` the driver's
exceptions as the contract's · then a module for each group of units: `tasks`, `ledger`, `window`, `claims`, `recovery`,
`attempts`, `partitions` · `store` all of it as one `Store`.

Statements run on the event loop itself, without a thread in between. Measured: a claim of 500 tasks takes 13 us a task on
the loop or on a thread beside an idle loop, and 540 us on a thread beside a busy one, because the driver gives up the
interpreter's lock at every row and waits up to 5 ms to have it back. A claim of one task and its completion take 60 us
in memory and 160 us on a file; a unit of 1,000 tasks holds the loop for 15 to 30 ms. The only calls that wait for a
disk are those of checkpoints, and those run on a thread of their own, each a single call without the interpreter's lock.

**Durability.** Files run in WAL mode with synchronous=NORMAL: a commit is in the operating system's hands when it is
answered, so it survives any death of the process, SIGKILL included. A power failure may take the last commits (never the
file's integrity). FULL would survive that too and cost a wait for the disk per commit, on the loop; what must survive
a machine runs on MySQL.
"""
