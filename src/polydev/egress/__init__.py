"""The one way out of a machine: an HTTP proxy that decides for itself what it connects to.

One `EgressProxy` per machine runs in that machine's keeper. This package is light on purpose
(standard library, h11 and `polydev.domain`) and keeps no state outside its objects.

    hosts       what the guest wrote  -> a normalised host, or a refusal
    policy      host and port         -> may this machine ask for it
    resolver    host                  -> addresses, every one of them checked -> a connection
    request     bytes                 -> one well-formed request, or a refusal
    tunnel      CONNECT;  forward     plain HTTP
    server      listeners, limits, counters, one record per connection
"""
