"""The scheduler proper: from the due index to an executor and back to the ledger, for the partitions that this node owns.

    window_loader ──> due_window (timing wheel) ──> timer_driver ──> claimer ──> sender ──> executors
         ^ hints                                                        │                       │ results
         └── sweep of what is overdue                                assigner <── waiting    completer ──> ledger

`engine.Engine` builds the parts, connects them and runs their loops; the shard manager tells `partition_host` which
partitions these are.
"""
