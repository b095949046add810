"""The wire: protobuf messages and services, written from the public field numbers."""
