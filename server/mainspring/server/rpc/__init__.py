"""The gRPC surface: decode, call, encode. The only importer of the stubs; domain errors become statuses in `status`."""
