"""TCP proxies between the parts of a cluster, to cut, freeze, delay and watch what passes; in a process of their own.

link.py       one proxied address: its connections and what happens to their bytes
commits.py    what a link knows of MySQL: it sees a claim's COMMIT pass, and acts on it
sockets.py    which local process is at the other end of a connection
process.py    the child process: commands in, answers out
proxies.py    the harness's side
"""
