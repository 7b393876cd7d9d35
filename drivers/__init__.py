"""One file per device class: cameras, microphones, MQTT, wheels."""
