"""The request and response formats of other servers, each translated into the service's own."""
