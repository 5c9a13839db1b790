"""Tests of Joinlog."""
