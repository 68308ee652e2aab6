"""Real Kafka, real PostgreSQL, the real program: what the integration tests stand on."""
