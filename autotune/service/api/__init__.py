"""The REST interface of the service, under /api/v1, with its OpenAPI description."""
