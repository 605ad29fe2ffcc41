//! A node from its configuration: roles, identity, start and stop, and the HTTP gateway
