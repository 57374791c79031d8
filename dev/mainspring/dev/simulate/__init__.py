"""`mainspring simulate`: concurrent mock executions as a TOML file configures them, with a verdict.

config.py     what a file says, as frozen dataclasses; `keys.py` how each key is described, `reading.py` the reader
plan.py       PURE: the tasks to register and the steps to take, from a configuration and a seed
course.py     a run from registration to evidence, on either stage:
              in_process.py (several nodes in this process) or on_cluster.py (MariaDB, ZooKeeper, processes)
figures.py    PURE: how late, and when; `charts.py` draws it, `summary.py` says it
command.py    the program behind `mainspring simulate`
"""
