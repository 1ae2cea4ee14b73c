"""The Celery worker's application; `celery -A` imports it in the worker's process."""

from benchmarks.addresses import amqp_url
from benchmarks.peers.celery_echo import application

app = application(amqp_url())
