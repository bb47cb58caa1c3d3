"""The main job: a real portfolio is placed over the public API, played, and checked against the auditor's replay."""
