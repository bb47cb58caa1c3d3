"""The local platform: PostgreSQL from a wheel, Apache Kafka from its jars, and the services, without containers."""
