"""gRPC on the same port: the same methods as `api.vertex`, and health and reflection."""
