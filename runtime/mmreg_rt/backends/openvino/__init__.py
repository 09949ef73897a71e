"""Networks run by OpenVINO."""
