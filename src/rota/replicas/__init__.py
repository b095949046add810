"""From a config and an inventory to replicas, and which of them a container gets. Pure."""
