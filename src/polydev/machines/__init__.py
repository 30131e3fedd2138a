"""Machines: the contract, the drivers, the warm pool and the manager above them."""
