"""One process with everything in it: a node on SQLite, an executor, a clock to play with, simulations.

For trying Mainspring, for other teams' tests, and for the project's own. The engine, the protos and the API are those of the
cluster; only the store, the membership and the executors' transport are of one process.
"""
