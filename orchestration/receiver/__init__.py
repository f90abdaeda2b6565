"""The OTLP/HTTP receiver: requests from OpenTelemetry SDKs become files of the inbox, durably."""
