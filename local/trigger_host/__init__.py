"""A stand-in for the Azure Functions host: it fires the triggers of a function app on a laptop.

The app itself is run by Microsoft's own `azure-functions-runtime`: indexing, validation of bindings, decoding,
execution and encoding are theirs (`runtime.py`). What the host does around it in Azure is done here, on the real
storage protocols: queues with visibility time-outs and poison queues (`queues.py`), blobs as Event Grid announces them
(`blobs.py`), timers (`timers.py`), Event Hubs batches with checkpoints (`event_hubs.py`), HTTP routes (`http.py`).

    python -m local.trigger_host --app . --settings local.settings.json --port 7071

What has to survive lies in the storage account, so the process can be killed at any time and nothing is lost.
"""
