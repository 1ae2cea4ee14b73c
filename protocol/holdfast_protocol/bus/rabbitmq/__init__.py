"""The bus on RabbitMQ. The class is in `bus`."""
