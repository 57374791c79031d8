"""The executors connected to this node: who they are, their credit, and what is on its way to them. Knows no proto."""
