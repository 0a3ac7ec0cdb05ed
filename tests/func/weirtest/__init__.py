# SPDX-License-Identifier: Apache-2.0
"""Helpers of the functional tests: a server under test, scripted peers, raw clients."""
