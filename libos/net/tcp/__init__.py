"""The Transmission Control Protocol (RFC 9293), a room for each phase of a connection and each of its mechanisms."""
