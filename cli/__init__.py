"""The command `recoup`: the platform itself, and the services seen through their public contracts."""
