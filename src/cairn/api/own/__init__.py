"""What Vertex and KFP lack: live events, why, resume, diff, readiness, metrics. Described by OpenAPI."""
