"""What every payload model shares. Source: the wire contract, sections 6 and 10."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict

from holdfast_protocol.fields import CollectionName, NullMeans

DEFAULT_COLLECTION: Final = "tasks"


def _default_collection() -> str:
    return DEFAULT_COLLECTION


Collection = Annotated[CollectionName, NullMeans(_default_collection)]


class Payload(BaseModel):
    """The arguments of one action: frozen, strict, no unknown fields, null = absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CollectionPayload(Payload):
    """The arguments of an action that works on one collection."""

    collection: Collection = DEFAULT_COLLECTION
