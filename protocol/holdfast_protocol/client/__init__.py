"""The client: requests, answers, and typed helpers for the agents' actions."""

from holdfast_protocol.client.client import AgentClient

__all__ = ["AgentClient"]
