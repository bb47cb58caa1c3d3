"""The audit service: hears every log, keeps its own copy, and reads it with its own code."""
