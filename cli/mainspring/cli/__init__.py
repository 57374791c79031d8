"""The `mainspring` command: above everything else, and the server's packages only inside the commands that need them."""
