"""The bridge of a session: its topics, nodes, parameters and stop, as a ROS 2 graph sees them."""
