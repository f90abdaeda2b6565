"""Connections to the engines that assets work with."""
