"""Durable state. `store` is the contract, `mysql/` one implementation of it; SQL lives nowhere else."""
