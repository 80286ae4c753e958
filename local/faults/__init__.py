"""What Azure and the network do on a bad day, on purpose: HTTP services with faults, a proxy before storage, a play."""
