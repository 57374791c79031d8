"""Who is alive, who owns which partition, and how ownership moves.

ZooKeeper says who is alive, MySQL says who owns. This package holds the pure parts (`hashing`,
`assignment`, `ownership`), the protocols it needs from its surroundings (`membership`), the loop that
carries the decisions out (`manager`) and two kinds of membership (`zookeeper`, `local`). It imports
nothing of `mainspring.server`.
"""
