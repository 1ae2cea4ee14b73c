"""Brings the real servers that the tests need: RabbitMQ, PostgreSQL and Redis.

`scripts/services` is the command. Standard library only, because it runs before anything is
installed.
"""
