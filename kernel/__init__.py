"""Everything that a service is not about: deciding, recording, relaying, listening, serving."""
