"""Every metric and the form of every log line, defined once."""
