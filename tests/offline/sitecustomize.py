"""Loaded by every Python that the tests start: see conftest."""

import os

import no_network

if os.environ.get("TLCOURSE_TEST_NETWORK") != "1":
    no_network.block()
