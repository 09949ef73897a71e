"""Training of registration methods: networks, losses, and pairs made from nothing. Needs PyTorch."""
