"""Real servers without root, and the tools that start, break and judge a local cluster.

MariaDB, MySQL and ZooKeeper come from the distribution's own packages, unpacked into a cache folder and run from there on
free loopback ports. Nothing is installed into the system, so an ordinary user can do it.

- `debian_packages`: fetch and unpack packages, once.
- `mariadb`, `mysql`, `zookeeper`: one server each, with the handles that fault tests need (kill, restart, pause, resume).
- `child_process`: the same handles for any other program of a local cluster.
- `external`: servers named by `MAINSPRING_MYSQL_URL` and `MAINSPRING_ZOOKEEPER`, used instead of own ones.
"""
