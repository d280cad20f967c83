"""Tests of cachedoctor: real files in temporary folders, real servers on loopback."""
