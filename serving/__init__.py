"""The one package that knows the serving cache: stores, sync, client, publish."""
