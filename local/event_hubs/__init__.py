"""An Azure Event Hubs namespace on a laptop: the unmodified azure-eventhub client talks AMQP 1.0 to it.

Read it from the bytes up: codec (types), frames (performatives), messages (sections), connection -> session -> links
and nodes (the protocol's own levels), hub (partitions and what is kept), selector (where a consumer starts), tokens
(who may come in), faults (what goes wrong on purpose), server (the thread), __main__ (the command line).

    python -m local.event_hubs --hub purview-hook:4 --data .hookline/hubs

It is as strict as the service where a wrong client must notice: message size, unknown hubs, consumer groups and
partitions, tokens, epochs, five readers per partition and group, checkpoints beyond the end. It is not one: no
throughput units, no capture, no schema registry, no TLS, no AMQP over WebSockets, no Kafka.
"""

from local.event_hubs.faults import Fault
from local.event_hubs.server import EventHubs, running

__all__ = ["EventHubs", "Fault", "running"]
