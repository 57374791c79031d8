"""A scheduler node: the pure core, the stores, the engine, dispatch to executors, and the gRPC services."""
