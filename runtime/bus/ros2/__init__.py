"""ROS 2: our nodes as ordinary citizens of a ROS 2 graph, with or without ROS installed."""
