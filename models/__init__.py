"""Models: manifests, the registry that checks them, and what runs them."""

import os

# ONNX Runtime's Linux builds (1.29 and later) report to their maker unless this is set before they
# are loaded; nothing of ours leaves the machine unless a launch file allows it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # varies: it is set, never read
